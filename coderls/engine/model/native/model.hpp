// What a loaded model holds: its weights, the rows that its layers hand on, and room for each thread.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <new>
#include <vector>

#include "attention.hpp"
#include "pool.hpp"
#include "products.hpp"

#if defined(__linux__)
#include <sys/mman.h>
#endif

namespace native {

using products::Group;
using products::Inputs;
using products::MOST_ROWS;
using products::TILE;
using products::Weight;
using simd::F16;

constexpr int padded(int count) { return (count + 31) / 32 * 32; }
constexpr int PARTS = 5;  // of a layer: qkv, attention, output, gate and up, down

struct Config {
  int32_t layers, hidden, intermediate, heads, kv_heads, head_dim, vocab, threads, cache_kind;  // the last: 0 bfloat16, 1 float32, 2 int8
  float eps;
};

struct Layer {
  const float *attention_norm, *mlp_norm;  // [padded(hidden)]
  Weight qkv, out, gate, up, down;
};

struct Span {
  int64_t first_row, end, count;  // of the cache: where the slot begins; positions with, and number of, the new tokens
};

// Sixty-four-byte aligned; on Linux in huge pages where the system has them, which saves time at these sizes.
class Buffer {
 public:
  explicit Buffer(size_t bytes);
  ~Buffer() { std::free(data_); }
  Buffer(Buffer&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  Buffer(const Buffer&) = delete;
  template <class T> T* as() const { return static_cast<T*>(data_); }

 private:
  void* data_;
};

inline Buffer::Buffer(size_t bytes) {
  constexpr size_t HUGE = size_t(2) << 20;
  size_t unit = bytes >= 4 * HUGE ? HUGE : 64;
  bytes = (bytes / unit + 1) * unit;
  if (posix_memalign(&data_, unit, bytes)) throw std::bad_alloc();
#if defined(__linux__)
  if (unit == HUGE) madvise(data_, bytes, MADV_HUGEPAGE);
#endif
  std::memset(data_, 0, bytes);
}

// What one thread works with.
struct Scratch {
  Buffer normed, groups, pairs, acc, maxima, sums, weights, row, queries, keys, wide;

  Scratch(int longest, int query_rows, int head_dim)
      : normed(sizeof(float) * longest),
        groups(sizeof(Group) * MOST_ROWS * longest / 32),
        pairs(sizeof(uint32_t) * MOST_ROWS * longest / 2),
        acc(sizeof(float) * query_rows * head_dim),
        maxima(sizeof(float) * query_rows),
        sums(sizeof(float) * query_rows),
        weights(sizeof(float) * query_rows * 16),
        row(sizeof(float) * head_dim),
        queries(sizeof(uint32_t) * query_rows * head_dim),
        keys(sizeof(uint32_t) * head_dim * 16),
        wide(sizeof(uint16_t) * head_dim * 2 * attention::BLOCK) {}

  Inputs inputs() const { return {groups.as<Group>(), pairs.as<uint32_t>()}; }
  attention::Room room() const {
    return {acc.as<float>(), maxima.as<float>(), sums.as<float>(), weights.as<float>(),
            row.as<float>(), queries.as<uint32_t>(), keys.as<uint32_t>(), wide.as<uint16_t>()};
  }
};

// A range of positions of one sequence.
struct Task {
  int span, part, parts;
  int64_t first, last;
  size_t at;  // in `partial`
};

class Model {
 public:
  Model(const Config& config, const void* const* norms);
  void add(const Weight& weight);
  void use_threads(int count) { pool_.use(count); }
  bool complete() const { return weights_ == 5 * config_.layers + 1; }
  // See coderls_native_step.
  void step(int rows, const float* embedded, const float* cos, const float* sin, const Span* spans, int span_count,
            void* const* caches, const int32_t* wanted, int wanted_count, float* logits);

 private:
  static void enter(void* self, int thread) { static_cast<Model*>(self)->run(thread); }
  void plan(const Span* spans, int count);
  void run(int thread);
  void attend(int layer, const Task& task, const Scratch& scratch);
  template <class Cache> void attend_in(int layer, const Task& task, const Scratch& scratch);
  const float* norm(const float* x, const float* weight, float* out) const;
  void read_rows(const float* x, int stride, const float* norm_weight, const Weight& weight, const Scratch& scratch);
  int some(int pieces) const { return std::max(1, pieces / (8 * config_.threads)); }
  template <class Prepare, class Store>
  void multiply(int part, const Weight& weight, const Scratch& scratch, int rows, Prepare prepare, Store to);

  Config config_;
  attention::Shape shape_;
  int weights_ = 0, hidden_, heads_, qkv_, middle_;  // the last four: numbers a row, padded
  std::vector<Layer> layers_;
  Weight head_{};
  std::vector<Buffer> memory_;
  const float* final_norm_;
  Buffer x_, qkv_rows_, attended_, middle_rows_;  // float32 [MOST_ROWS, ...]
  std::vector<Scratch> scratch_;
  std::vector<pool::Part> parts_;  // of each layer, and the head
  std::vector<std::vector<pool::Part>> joins_;  // of each layer and sequence: ranges that are done
  std::vector<Task> tasks_;
  std::vector<float> partial_;
  // Of the step that runs:
  int rows_ = 0, wanted_count_ = 0;
  const float *cos_ = nullptr, *sin_ = nullptr;
  const Span* spans_ = nullptr;
  std::vector<int> first_token_;  // of each span
  void* const* caches_ = nullptr;
  const int32_t* wanted_ = nullptr;
  float* logits_ = nullptr;
  pool::Pool pool_;  // last: its threads use all that is above
};

}  // namespace native
