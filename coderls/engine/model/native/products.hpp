// Products of a few rows with a weight that is bfloat16, int8 a row, or int4 in groups.
//
// A weight is cut into tiles of 16 outputs, a tile into groups of 32 inputs; a tile is one run of memory (`pack.py` has
// the layouts). A lane of a vector is one output, so nothing is ever summed across lanes.
//
// With quantized weights the products are whole numbers: each group of 32 inputs is written as 128 * high + low, two
// signed bytes, times a scale. That is 14 bits and a sign, where bfloat16 keeps 8, for a sixteenth of the instructions.
#pragma once

#include <limits>

#include "simd.hpp"

namespace products {

using simd::F16;

constexpr int TILE = 16;
constexpr int GROUP = 32;
constexpr int MOST_ROWS = 16;
enum Kind : int32_t { BFLOAT16 = 0, INT8 = 1, INT4 = 2 };

// The largest whole number: high is at most 63, so that two products of a byte up to 255 fit into 16 bits (AVX2).
constexpr float LARGEST = 63 * 128 + 63;

// 32 inputs of one row.
struct Group {
  int8_t high[GROUP], low[GROUP];
  float scale;       // of the whole numbers
  float sum;         // of the inputs as they are written here
  int32_t minus8;    // -8 and -128 times the sum of the whole numbers: weights are stored without a sign
  int32_t minus128;
};

struct Weight {
  Kind kind;
  int32_t outs, tiles, groups;  // outs: without those that fill up the last tile
  const uint8_t* data;
  const float* scales;  // INT8: of each output
  const float* bias;    // or null

  size_t group_bytes() const { return kind == BFLOAT16 ? 1024 : kind == INT8 ? 512 : 320; }
  size_t tile_bytes() const { return groups * group_bytes(); }
};

// What the rows of one product are read as: one of the two forms, made once for all tiles.
struct Inputs {
  Group* groups;    // [rows][groups]
  uint32_t* pairs;  // [rows][16 * groups]: two bfloat16 in a word
};

inline int32_t word(const int8_t* p) {
  int32_t value;
  std::memcpy(&value, p, 4);
  return value;
}

inline void write_group(const float* x, Group& out) {
  F16 a = simd::load(x), b = simd::load(x + 16);
  F16 size_a = simd::abs(a), size_b = simd::abs(b);
  float most = simd::largest(simd::max(size_a, size_b));
  // A comparison drops a NaN, a sum keeps it: what is no number must come out as none.
  bool numbers = simd::sum(simd::add(size_a, size_b)) <= std::numeric_limits<float>::max();
  float scale = most / LARGEST;
  // Below the normal numbers a reciprocal is infinite; so small a group is nothing.
  float inverse = scale >= std::numeric_limits<float>::min() ? 1.0f / scale : 0.0f;
  float whole[GROUP];
  F16 factor = simd::splat(numbers ? inverse : 0.0f);
  simd::store(whole, simd::round(simd::mul(a, factor)));
  simd::store(whole + 16, simd::round(simd::mul(b, factor)));
  int32_t sum = 0;
  for (int i = 0; i < GROUP; ++i) {
    int32_t value = int32_t(whole[i]);
    int32_t high = (value + 64) >> 7;
    out.high[i] = int8_t(high);
    out.low[i] = int8_t(value - 128 * high);
    sum += value;
  }
  out.scale = numbers ? scale : std::numeric_limits<float>::quiet_NaN();
  out.sum = out.scale * float(sum);
  out.minus8 = -8 * sum;
  out.minus128 = -128 * sum;
}

inline void write_pairs(const float* x, int count, uint32_t* out) {
  for (int i = 0; i < count / 2; ++i)
    out[i] = uint32_t(simd::to_bf16(x[2 * i])) | uint32_t(simd::to_bf16(x[2 * i + 1])) << 16;
}

// Row `row` of what `weight` will be multiplied with, from float32 [32 * groups].
inline void write_row(const float* x, const Weight& weight, int row, const Inputs& inputs) {
  if (weight.kind == BFLOAT16) {
    write_pairs(x, weight.groups * GROUP, inputs.pairs + size_t(row) * weight.groups * 16);
    return;
  }
  for (int g = 0; g < weight.groups; ++g) write_group(x + g * GROUP, inputs.groups[size_t(row) * weight.groups + g]);
}

template <int R>
inline void tile_int4(const uint8_t* w, int groups, const Group* x, F16* total) {
  for (int g = 0; g < groups; ++g, w += 320) {
    simd::B64 quads[8];
    for (int j = 0; j < 4; ++j) {
      simd::B64 both = simd::load_bytes(w + 64 * j);
      quads[2 * j] = simd::low_nibbles(both);
      quads[2 * j + 1] = simd::high_nibbles(both);
    }
    const uint16_t* factors = reinterpret_cast<const uint16_t*>(w + 256);
    F16 scale = simd::load_bf16(factors), zero = simd::load_bf16(factors + 16);
    CODERLS_UNROLL
    for (int r = 0; r < R; ++r) {
      const Group& in = x[size_t(r) * groups + g];
      simd::I16 high = simd::splat_int(0), low = simd::splat_int(in.minus8);
      CODERLS_UNROLL
      for (int j = 0; j < 8; ++j) {
        high = simd::dot4(high, quads[j], word(in.high + 4 * j));
        low = simd::dot4(low, quads[j], word(in.low + 4 * j));
      }
      F16 product = simd::mul(simd::to_float(simd::join(high, low)), simd::splat(in.scale));
      total[r] = simd::fma(product, scale, total[r]);
      total[r] = simd::fma(simd::splat(in.sum), zero, total[r]);
    }
  }
}

template <int R>
inline void tile_int8(const uint8_t* w, int groups, const Group* x, F16* total) {
  for (int g = 0; g < groups; ++g, w += 512) {
    CODERLS_UNROLL
    for (int r = 0; r < R; ++r) {
      const Group& in = x[size_t(r) * groups + g];
      simd::I16 high = simd::splat_int(0), low = simd::splat_int(in.minus128);
      CODERLS_UNROLL
      for (int j = 0; j < 8; ++j) {
        simd::B64 quad = simd::load_bytes(w + 64 * j);
        high = simd::dot4(high, quad, word(in.high + 4 * j));
        low = simd::dot4(low, quad, word(in.low + 4 * j));
      }
      total[r] = simd::fma(simd::to_float(simd::join(high, low)), simd::splat(in.scale), total[r]);
    }
  }
}

template <int R>
inline void tile_bfloat16(const uint8_t* w, int groups, const uint32_t* x, F16* total) {
  constexpr int CHAINS = R <= 2 ? 4 : 1;  // sums that do not wait for each other
  F16 sums[CHAINS][R];
  for (auto& chain : sums)
    for (F16& sum : chain) sum = simd::splat(0.0f);
  const uint32_t* words = reinterpret_cast<const uint32_t*>(w);
  for (int pair = 0; pair < 16 * groups; pair += CHAINS)
    for (int c = 0; c < CHAINS; ++c)
      CODERLS_UNROLL
      for (int r = 0; r < R; ++r)
        sums[c][r] = simd::dot2(sums[c][r], words + 16 * (pair + c), x[size_t(r) * 16 * groups + pair + c]);
  for (int c = 0; c < CHAINS; ++c)
    for (int r = 0; r < R; ++r) total[r] = simd::add(total[r], sums[c][r]);
}

template <int R>
__attribute__((noinline)) void tile_rows(const Weight& weight, int tile, const Inputs& inputs, int row, F16* total) {
  const uint8_t* w = weight.data + tile * weight.tile_bytes();
  const Group* groups = inputs.groups + size_t(row) * weight.groups;
  for (int r = 0; r < R; ++r) total[r] = weight.bias ? simd::load(weight.bias + tile * TILE) : simd::splat(0.0f);
  if (weight.kind == INT4) {
    tile_int4<R>(w, weight.groups, groups, total);
  } else if (weight.kind == BFLOAT16) {
    tile_bfloat16<R>(w, weight.groups, inputs.pairs + size_t(row) * weight.groups * 16, total);
  } else {
    F16 sums[R];
    for (F16& sum : sums) sum = simd::splat(0.0f);
    tile_int8<R>(w, weight.groups, groups, sums);
    F16 scale = simd::load(weight.scales + tile * TILE);
    for (int r = 0; r < R; ++r) total[r] = simd::fma(sums[r], scale, total[r]);
  }
}

// The 16 outputs of one tile for `rows` rows (1 to MOST_ROWS), bias added: total[rows].
template <int R = simd::ROWS>
inline void tile_product(const Weight& weight, int tile, const Inputs& inputs, int rows, F16* total, int row = 0) {
  for (; rows - row >= R; row += R) tile_rows<R>(weight, tile, inputs, row, total + row);
  if constexpr (R > 1)
    if (row < rows) tile_product<R - 1>(weight, tile, inputs, rows, total, row);
}

}  // namespace products
