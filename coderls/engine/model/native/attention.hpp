// Attention of the new tokens of one sequence to one range of positions of its KV slot.
//
// All query heads that share the KV head are rows beside each other, so keys and values are read once. Positions go by
// sixteen: keys turned round so that a lane is a position, scores, a running softmax, then the values. Several ranges of
// one sequence are merged at the end by their maxima and sums.
#pragma once

#include <algorithm>
#include <limits>

#include "simd.hpp"

namespace attention {

using simd::F16;

constexpr int BLOCK = 16;
constexpr int SCALED = 32;  // numbers that share a scale
constexpr int AT_ONCE = simd::ROWS < 4 ? simd::ROWS : 4;  // query rows

struct Shape {
  int heads, kv_heads, head_dim;
  int group() const { return heads / kv_heads; }
  size_t position() const { return size_t(2) * kv_heads * head_dim; }  // numbers of the cache for each position
  size_t scales() const { return position() / SCALED; }  // of a cache in 8 bits
};

// A slot from its first position on; `row` of a position: keys of each KV head, then values.
struct Slot {
  void* numbers;
  uint16_t* scales;  // bfloat16, of a cache in 8 bits

  template <class T> T* at(const Shape& shape, int64_t position, int row) const {
    return static_cast<T*>(numbers) + size_t(position) * shape.position() + size_t(row) * shape.head_dim;
  }
  uint16_t* scales_at(const Shape& shape, int64_t position, int row) const {
    return scales + size_t(position) * shape.scales() + size_t(row) * (shape.head_dim / SCALED);
  }
};

// Room for one thread; `rows`: of all heads and tokens.
struct Room {
  float *acc, *maxima, *sums, *weights;  // [rows, head_dim], [rows], [rows], [rows, 16]
  float* row;                            // [head_dim]
  uint32_t *queries, *keys;              // [rows, head_dim], [head_dim, 16]
  uint16_t* wide;                        // [2, 16, head_dim]
};

// Half-split rotation: `head` [head_dim] turned by cos and sin [head_dim / 2], to `out`.
inline void rotate(const float* head, const float* cos, const float* sin, int head_dim, float* out) {
  int half = head_dim / 2;
  for (int i = 0; i < half; ++i) {
    float a = head[i], b = head[i + half];
    out[i] = a * cos[i] - b * sin[i];
    out[i + half] = b * cos[i] + a * sin[i];
  }
}

// Caches of bfloat16, of float32 and of 8 bits. `words`: 32-bit words that hold one head of `head_dim` numbers. `keep`
// writes one head; `read` says where one is, or makes it wide.
struct Bfloat16 {
  using Value = uint16_t;
  using Stored = uint16_t;
  static int words(int head_dim) { return head_dim / 2; }
  static void write(const float* from, int count, Value* to) {
    for (int i = 0; i < count; ++i) to[i] = simd::to_bf16(from[i]);
  }
  static void keep(const float* from, const Shape& shape, const Slot& slot, int64_t position, int row) {
    write(from, shape.head_dim, slot.at<Stored>(shape, position, row));
  }
  static const Value* read(const Shape& shape, const Slot& slot, int64_t position, int row, uint16_t*) {
    return slot.at<Stored>(shape, position, row);
  }
  static F16 load(const Value* p) { return simd::load_bf16(p); }
  static F16 dot(F16 acc, const uint32_t* keys, uint32_t query) { return simd::dot2(acc, keys, query); }
};

struct Float32 {
  using Value = float;
  using Stored = float;
  static int words(int head_dim) { return head_dim; }
  static void write(const float* from, int count, Value* to) { std::memcpy(to, from, count * sizeof(float)); }
  static void keep(const float* from, const Shape& shape, const Slot& slot, int64_t position, int row) {
    write(from, shape.head_dim, slot.at<Stored>(shape, position, row));
  }
  static const Value* read(const Shape& shape, const Slot& slot, int64_t position, int row, uint16_t*) {
    return slot.at<Stored>(shape, position, row);
  }
  static F16 load(const Value* p) { return simd::load(p); }
  static F16 dot(F16 acc, const uint32_t* keys, uint32_t query) {
    float value;
    std::memcpy(&value, &query, 4);
    return simd::fma(simd::load(reinterpret_cast<const float*>(keys)), simd::splat(value), acc);
  }
};

// As `kv_form.py` has it: each 32 numbers have a scale. They are read as bfloat16, each product rounded once.
struct Int8 : Bfloat16 {
  using Stored = int8_t;
  static void keep(const float* from, const Shape& shape, const Slot& slot, int64_t position, int row) {
    Stored* to = slot.at<Stored>(shape, position, row);
    uint16_t* scales = slot.scales_at(shape, position, row);
    for (int first = 0; first < shape.head_dim; first += SCALED) {
      float most = 0.0f, odd = 0.0f;  // odd: no number, where one of them is none
      for (int i = first; i < first + SCALED; ++i) most = std::fmax(most, std::fabs(from[i])), odd += from[i] - from[i];
      uint16_t scale = simd::to_bf16((most + odd) / 127.0f);
      float step = simd::from_bf16(scale);
      if (step == 0.0f) step = 1.0f;
      for (int i = first; i < first + SCALED; ++i)
        to[i] = Stored(std::fmax(-127.0f, std::fmin(127.0f, std::nearbyint(from[i] / step))));
      scales[first / SCALED] = scale;
    }
  }
  static const Value* read(const Shape& shape, const Slot& slot, int64_t position, int row, uint16_t* wide) {
    const Stored* from = slot.at<Stored>(shape, position, row);
    const uint16_t* scales = slot.scales_at(shape, position, row);
    for (int first = 0; first < shape.head_dim; first += SCALED) {
      float scale = simd::from_bf16(scales[first / SCALED]);
      for (int i = first; i < first + SCALED; ++i) wide[i] = simd::to_bf16(float(from[i]) * scale);
    }
    return wide;
  }
};

// Scores of R rows with sixteen positions.
template <class Cache, int R>
inline void scores(const uint32_t* keys, const uint32_t* queries, int words, F16 scale, float* out) {
  F16 even[R], odd[R];
  for (int r = 0; r < R; ++r) even[r] = odd[r] = simd::splat(0.0f);
  for (int w = 0; w < words; w += 2)
    CODERLS_UNROLL
    for (int r = 0; r < R; ++r) {
      even[r] = Cache::dot(even[r], keys + 16 * w, queries[r * words + w]);
      odd[r] = Cache::dot(odd[r], keys + 16 * (w + 1), queries[r * words + w + 1]);
    }
  for (int r = 0; r < R; ++r) simd::store(out + 16 * r, simd::mul(simd::add(even[r], odd[r]), scale));
}

// The same for any number of them.
template <class Cache, int R = AT_ONCE>
inline void score_rows(const uint32_t* keys, const uint32_t* queries, int words, F16 scale, int rows, float* out) {
  int r = 0;
  for (; rows - r >= R; r += R) scores<Cache, R>(keys, queries + size_t(r) * words, words, scale, out + 16 * r);
  if constexpr (R > 1)
    if (r < rows)
      score_rows<Cache, R - 1>(keys, queries + size_t(r) * words, words, scale, rows - r, out + 16 * r);
}

// acc[R rows] += weights[R rows, 16] times sixteen values, COLUMNS vectors of each from `values` on.
template <class Cache, int R, int COLUMNS>
inline void add_values(const typename Cache::Value* const* values, const float* weights, int head_dim, float* acc) {
  F16 sums[R][COLUMNS];
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < COLUMNS; ++c) sums[r][c] = simd::load(acc + r * head_dim + 16 * c);
  for (int p = 0; p < BLOCK; ++p)
    CODERLS_UNROLL
    for (int c = 0; c < COLUMNS; ++c) {
      F16 value = Cache::load(values[p] + 16 * c);
      CODERLS_UNROLL
      for (int r = 0; r < R; ++r) sums[r][c] = simd::fma(value, simd::splat(weights[16 * r + p]), sums[r][c]);
    }
  for (int r = 0; r < R; ++r)
    for (int c = 0; c < COLUMNS; ++c) simd::store(acc + r * head_dim + 16 * c, sums[r][c]);
}

// The same for any number of them, two vectors of each.
template <class Cache, int R = AT_ONCE>
inline void add_rows(const typename Cache::Value* const* values, const float* weights, int head_dim, int rows,
                     float* acc) {
  int r = 0;
  for (; rows - r >= R; r += R) add_values<Cache, R, 2>(values, weights + 16 * r, head_dim, acc + r * head_dim);
  if constexpr (R > 1)
    if (r < rows) add_rows<Cache, R - 1>(values, weights + 16 * r, head_dim, rows - r, acc + r * head_dim);
}

// Takes the scores of one row into its running softmax: they become weights, and what was summed is scaled down.
inline void soften(float* scores, int head_dim, float& maximum, float& sum, float* acc) {
  F16 block = simd::load(scores);
  float most = simd::largest(block);
  if (most > maximum) {
    // Nothing was summed before the first block, and e to the power of minus infinity is not exactly 0 here.
    float factor = maximum == -std::numeric_limits<float>::infinity() ? 0.0f : std::exp(maximum - most);
    for (int i = 0; i < head_dim; i += 16) simd::store(acc + i, simd::mul(simd::load(acc + i), simd::splat(factor)));
    sum *= factor;
    maximum = most;
  }
  F16 weights = simd::exp(simd::add(block, simd::splat(-maximum)));
  simd::store(scores, weights);
  sum += simd::sum(weights);
}

// Sixteen positions and one KV head: takes them into the running softmax of its `rows` query rows, whose first is
// `row`. `keys` and `values` are those of the positions, and are moved on; token i sees what is before seen + i, counted
// from the first of them.
template <class Cache>
void attend_block(const Shape& shape, const typename Cache::Value** keys, const typename Cache::Value** values,
                  int64_t seen, int row, int rows, const Room& room) {
  const int dim = shape.head_dim, words = Cache::words(dim), group = shape.group();
  const F16 scale = simd::splat(1.0f / std::sqrt(float(dim)));
  const uint32_t* key_words[BLOCK];
  for (int p = 0; p < BLOCK; ++p) key_words[p] = reinterpret_cast<const uint32_t*>(keys[p]);
  for (int w = 0; w < words; w += 16) {
    simd::transpose(key_words, room.keys + 16 * w);
    for (const uint32_t*& key : key_words) key += 16;
  }
  score_rows<Cache>(room.keys, room.queries + size_t(row) * words, words, scale, rows, room.weights);
  for (int r = 0; r < rows; ++r) {
    int64_t visible = std::clamp<int64_t>(seen + r / group, 0, BLOCK);
    for (int p = int(visible); p < BLOCK; ++p) room.weights[16 * r + p] = -std::numeric_limits<float>::infinity();
    soften(room.weights + 16 * r, dim, room.maxima[row + r], room.sums[row + r], room.acc + (row + r) * dim);
  }
  for (int c = 0; c < dim; c += 32) {
    add_rows<Cache>(values, room.weights, dim, rows, room.acc + row * dim + c);
    for (int p = 0; p < BLOCK; ++p) values[p] += 32;
  }
}

// One range of positions, [first, last), of one sequence, all heads: a position's are read together, as they lie.
// `queries` are in room.queries already: for each KV head its count * group
// rows, the heads of a token beside each other. Token i sees positions up to end - count + i. Leaves acc, maxima and
// sums in `room`.
template <class Cache>
void attend(const Shape& shape, const Slot& slot, int64_t first, int64_t last, int64_t end, int count,
            const Room& room) {
  const int rows = count * shape.group(), all = rows * shape.kv_heads, dim = shape.head_dim;
  std::memset(room.acc, 0, sizeof(float) * all * dim);
  for (int r = 0; r < all; ++r) room.sums[r] = 0.0f, room.maxima[r] = -std::numeric_limits<float>::infinity();
  for (int64_t at = first; at < last; at += BLOCK) {
    for (int head = 0; head < shape.kv_heads; ++head) {
      const typename Cache::Value *keys[BLOCK], *values[BLOCK];
      for (int p = 0; p < BLOCK; ++p) {
        // Behind the end the last position is read again, and no token sees it.
        int64_t position = std::min(at + p, last - 1);
        keys[p] = Cache::read(shape, slot, position, head, room.wide + p * dim);
        values[p] = Cache::read(shape, slot, position, shape.kv_heads + head, room.wide + (BLOCK + p) * dim);
      }
      attend_block<Cache>(shape, keys, values, std::min(end - count + 1, last) - at, head * rows, rows, room);
    }
  }
}

// Merges what `parts` ranges left, each [rows, head_dim + 2]: sums, then maximum and sum of weights. `out(row)` is where
// a row goes.
template <class Out>
void merge(const float* parts, int count, size_t part_size, int rows, int head_dim, Out out) {
  const int width = head_dim + 2;
  for (int r = 0; r < rows; ++r) {
    float most = -std::numeric_limits<float>::infinity(), total = 0.0f;
    for (int c = 0; c < count; ++c) most = std::fmax(most, parts[c * part_size + r * width + head_dim]);
    float* to = out(r);
    std::memset(to, 0, sizeof(float) * head_dim);
    for (int c = 0; c < count; ++c) {
      const float* part = parts + c * part_size + r * width;
      float factor = std::exp(part[head_dim] - most);
      total += factor * part[head_dim + 1];
      for (int i = 0; i < head_dim; ++i) to[i] += factor * part[i];
    }
    for (int i = 0; i < head_dim; ++i) to[i] /= total;
  }
}

}  // namespace attention
