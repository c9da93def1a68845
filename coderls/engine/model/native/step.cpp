// One step of a Qwen2 model: up to sixteen new tokens of any number of sequences, from embedded rows to logits.
//
// Each thread takes tiles of a product (or ranges of attention) until none are left. Small work, the norms and the
// reading of inputs, is done by every thread for itself: that is cheaper than waiting for each other.
// The functions at the end are called by `step.py`, which has their types.

#include "model.hpp"

namespace native {

Model::Model(const Config& config, const void* const* norms)
    : config_(config),
      shape_{config.heads, config.kv_heads, config.head_dim},
      hidden_(padded(config.hidden)),
      heads_(padded(config.heads * config.head_dim)),
      qkv_(padded((config.heads + 2 * config.kv_heads) * config.head_dim)),
      middle_(padded(config.intermediate)),
      layers_(config.layers),
      x_(sizeof(float) * MOST_ROWS * hidden_),
      qkv_rows_(sizeof(float) * MOST_ROWS * qkv_),
      attended_(sizeof(float) * MOST_ROWS * heads_),
      middle_rows_(sizeof(float) * MOST_ROWS * middle_),
      parts_(config.layers * PARTS + 1),
      joins_(config.layers),
      pool_(config.threads, enter, this) {
  auto keep = [&](const void* from) {
    memory_.emplace_back(sizeof(float) * hidden_);
    std::memcpy(memory_.back().as<float>(), from, sizeof(float) * config.hidden);
    return memory_.back().as<const float>();
  };
  for (int i = 0; i < config.layers; ++i) {
    layers_[i].attention_norm = keep(norms[2 * i]);
    layers_[i].mlp_norm = keep(norms[2 * i + 1]);
  }
  final_norm_ = keep(norms[2 * config.layers]);
  int longest = std::max(std::max(hidden_, heads_), middle_);
  for (int i = 0; i < config.threads; ++i) scratch_.emplace_back(longest, MOST_ROWS * config.heads, config.head_dim);
}

void Model::add(const Weight& weight) {
  Weight own = weight;
  auto keep = [&](const void* from, size_t bytes) -> const void* {
    if (from == nullptr) return nullptr;
    memory_.emplace_back(bytes);
    std::memcpy(memory_.back().as<void>(), from, bytes);
    return memory_.back().as<void>();
  };
  own.data = static_cast<const uint8_t*>(keep(weight.data, weight.tiles * weight.tile_bytes()));
  own.scales = static_cast<const float*>(keep(weight.scales, sizeof(float) * TILE * weight.tiles));
  own.bias = static_cast<const float*>(keep(weight.bias, sizeof(float) * TILE * weight.tiles));
  int layer = weights_ / 5;
  if (layer < config_.layers) {
    Layer& to = layers_[layer];
    Weight* const places[] = {&to.qkv, &to.out, &to.gate, &to.up, &to.down};
    *places[weights_ % 5] = own;
  } else {
    head_ = own;
  }
  ++weights_;
}

void Model::plan(const Span* spans, int count) {
  int64_t positions = 0;
  for (int s = 0; s < count; ++s) positions += spans[s].end;
  // A few ranges for each thread, so that none waits long for another; but not so short that merging them tells.
  int64_t range = positions / (3 * config_.threads) + 1;
  range = std::max<int64_t>(32, (range + 15) / 16 * 16);
  tasks_.clear();
  first_token_.clear();
  size_t at = 0;
  int token = 0;
  for (int s = 0; s < count; ++s) {
    // The last range holds all new tokens: whoever takes it writes their keys and values first.
    int64_t old = spans[s].end - spans[s].count;
    int parts = int(std::max<int64_t>(1, old / range));
    for (int part = 0; part < parts; ++part) {
      int64_t last = part + 1 == parts ? spans[s].end : (part + 1) * range;
      tasks_.push_back({s, part, parts, part * range, last, at});
      if (parts > 1) at += spans[s].count * config_.heads * (config_.head_dim + 2);
    }
    first_token_.push_back(token);
    token += int(spans[s].count);
  }
  if (partial_.size() < at) partial_.resize(at);
  for (auto& counters : joins_) {
    if (counters.size() < size_t(count)) counters = std::vector<pool::Part>(count);
    for (auto& counter : counters) counter.reset();
  }
  for (auto& part : parts_) part.reset();
}

void Model::step(int rows, const float* embedded, const float* cos, const float* sin, const Span* spans, int span_count,
                 void* const* caches, const int32_t* wanted, int wanted_count, float* logits) {
  pool_.settle();
  for (int r = 0; r < rows; ++r)
    std::memcpy(x_.as<float>() + size_t(r) * hidden_, embedded + size_t(r) * config_.hidden,
                sizeof(float) * config_.hidden);
  plan(spans, span_count);
  rows_ = rows, cos_ = cos, sin_ = sin, spans_ = spans, caches_ = caches;
  wanted_ = wanted, wanted_count_ = wanted_count, logits_ = logits;
  pool_.run();
}

// Each tile's outputs go to `to(row, first output, values)`; `prepare` writes the inputs into `scratch`.
template <class Prepare, class Store>
void Model::multiply(int part, const Weight& weight, const Scratch& scratch, int rows, Prepare prepare, Store to) {
  parts_[part].share(weight.tiles, some(weight.tiles), prepare, [&](int tile) {
    F16 out[MOST_ROWS];
    products::tile_product(weight, tile, scratch.inputs(), rows, out);
    for (int r = 0; r < rows; ++r) to(r, tile * TILE, out[r]);
  });
}

// RMSNorm of one row.
const float* Model::norm(const float* x, const float* weight, float* out) const {
  F16 squares = simd::splat(0.0f);
  for (int i = 0; i < hidden_; i += 16) squares = simd::fma(simd::load(x + i), simd::load(x + i), squares);
  F16 factor = simd::splat(1.0f / std::sqrt(simd::sum(squares) / float(config_.hidden) + config_.eps));
  for (int i = 0; i < hidden_; i += 16)
    simd::store(out + i, simd::mul(simd::mul(simd::load(x + i), factor), simd::load(weight + i)));
  return out;
}

// All rows of `x`, normed where there is a `norm_weight`, in the form that `weight` is multiplied with.
void Model::read_rows(const float* x, int stride, const float* norm_weight, const Weight& weight,
                      const Scratch& scratch) {
  for (int r = 0; r < rows_; ++r) {
    const float* row = x + size_t(r) * stride;
    if (norm_weight != nullptr) row = norm(row, norm_weight, scratch.normed.as<float>());
    products::write_row(row, weight, r, scratch.inputs());
  }
}

template <class Cache>
void Model::attend_in(int layer, const Task& task, const Scratch& scratch) {
  using Value = typename Cache::Value;
  using Stored = typename Cache::Stored;
  const Span& span = spans_[task.span];
  const attention::Room room = scratch.room();
  const int dim = config_.head_dim, group = shape_.group(), count = int(span.count), words = Cache::words(dim);
  const int token0 = first_token_[task.span], head_rows = count * group;
  const attention::Slot all{caches_[layer], static_cast<uint16_t*>(caches_[config_.layers + layer])};
  const attention::Slot slot{all.at<Stored>(shape_, span.first_row, 0),
                             all.scales ? all.scales_at(shape_, span.first_row, 0) : nullptr};
  for (int i = 0; i < count; ++i) {
    const float* heads = qkv_rows_.as<float>() + size_t(token0 + i) * qkv_;
    const float *cos = cos_ + size_t(token0 + i) * (dim / 2), *sin = sin_ + size_t(token0 + i) * (dim / 2);
    for (int h = 0; h < config_.heads; ++h) {
      int row = h / group * head_rows + i * group + h % group;
      attention::rotate(heads + h * dim, cos, sin, dim, room.row);
      Cache::write(room.row, dim, reinterpret_cast<Value*>(room.queries + size_t(row) * words));
    }
    if (task.part + 1 < task.parts) continue;
    int64_t position = span.end - count + i;
    for (int h = 0; h < config_.kv_heads; ++h) {
      attention::rotate(heads + (config_.heads + h) * dim, cos, sin, dim, room.row);
      Cache::keep(room.row, shape_, slot, position, h);
      Cache::keep(heads + (config_.heads + config_.kv_heads + h) * dim, shape_, slot, position, config_.kv_heads + h);
    }
  }
  attention::attend<Cache>(shape_, slot, task.first, task.last, span.end, count, room);
  auto out = [&](int row) {
    int head = row / head_rows * group + row % group, token = token0 + row % head_rows / group;
    return attended_.as<float>() + size_t(token) * heads_ + head * dim;
  };
  const int rows = count * config_.heads, width = dim + 2;
  if (task.parts == 1) {
    for (int r = 0; r < rows; ++r) {
      float *to = out(r), factor = 1.0f / room.sums[r];
      for (int i = 0; i < dim; ++i) to[i] = room.acc[r * dim + i] * factor;
    }
    return;
  }
  float* part = partial_.data() + task.at;
  for (int r = 0; r < rows; ++r) {
    std::memcpy(part + r * width, room.acc + r * dim, sizeof(float) * dim);
    part[r * width + dim] = room.maxima[r];
    part[r * width + dim + 1] = room.sums[r];
  }
  // The last to finish merges: what the others wrote is seen by whoever counts after them.
  size_t size = size_t(rows) * width;
  if (joins_[layer][task.span].count() + 1 == task.parts)
    attention::merge(part - task.part * size, task.parts, size, rows, dim, out);
}

void Model::attend(int layer, const Task& task, const Scratch& scratch) {
  if (config_.cache_kind == 2) attend_in<attention::Int8>(layer, task, scratch);
  else if (config_.cache_kind == 1) attend_in<attention::Float32>(layer, task, scratch);
  else attend_in<attention::Bfloat16>(layer, task, scratch);
}

void Model::run(int thread) {
  const Scratch& scratch = scratch_[thread];
  const Inputs inputs = scratch.inputs();
  float *x = x_.as<float>(), *qkv = qkv_rows_.as<float>(), *middle = middle_rows_.as<float>();
  auto add_to_x = [&](int r, int o, F16 v) {
    float* to = x + size_t(r) * hidden_ + o;
    simd::store(to, simd::add(simd::load(to), v));
  };
  for (int number = 0; number < config_.layers; ++number) {
    const Layer& layer = layers_[number];
    const int part = number * PARTS;
    multiply(part, layer.qkv, scratch, rows_,
             [&] { read_rows(x, hidden_, layer.attention_norm, layer.qkv, scratch); },
             [&](int r, int o, F16 v) { simd::store(qkv + size_t(r) * qkv_ + o, v); });
    parts_[part + 1].share(int(tasks_.size()), 1, [] {}, [&](int task) { attend(number, tasks_[task], scratch); });
    multiply(part + 2, layer.out, scratch, rows_,
             [&] { read_rows(attended_.as<float>(), heads_, nullptr, layer.out, scratch); }, add_to_x);
    auto prepare = [&] { read_rows(x, hidden_, layer.mlp_norm, layer.gate, scratch); };
    parts_[part + 3].share(layer.gate.tiles, some(layer.gate.tiles), prepare, [&](int tile) {
      F16 gate[MOST_ROWS], up[MOST_ROWS];
      products::tile_product(layer.gate, tile, inputs, rows_, gate);
      products::tile_product(layer.up, tile, inputs, rows_, up);
      for (int r = 0; r < rows_; ++r)
        simd::store(middle + size_t(r) * middle_ + tile * TILE, simd::mul(simd::silu(gate[r]), up[r]));
    });
    multiply(part + 4, layer.down, scratch, rows_, [&] { read_rows(middle, middle_, nullptr, layer.down, scratch); },
             add_to_x);
  }
  if (wanted_count_ == 0) return;
  auto prepare = [&] {
    for (int r = 0; r < wanted_count_; ++r) {
      const float* row = norm(x + size_t(wanted_[r]) * hidden_, final_norm_, scratch.normed.as<float>());
      products::write_row(row, head_, r, inputs);
    }
  };
  multiply(config_.layers * PARTS, head_, scratch, wanted_count_, prepare, [&](int r, int o, F16 v) {
    float* to = logits_ + size_t(r) * config_.vocab + o;
    if (o + TILE <= config_.vocab) return simd::store(to, v);
    float last[TILE];
    simd::store(last, v);
    std::memcpy(to, last, sizeof(float) * (config_.vocab - o));
  });
}

}  // namespace native

using namespace native;

extern "C" {

// Which vectors it was compiled for.
const char* coderls_native_vectors() { return simd::NAME; }

// `norms`: float32 [hidden] of each layer, before attention and before the MLP, and the final one. NULL: out of memory.
void* coderls_native_create(const Config* config, const void* const* norms) {
  try {
    return new Model(*config, norms);
  } catch (...) {
    return nullptr;
  }
}

// The next weight: qkv, output, gate, up, down of each layer in turn, then the head. It is copied. 0: out of memory.
int coderls_native_add(void* model, const Weight* weight) {
  try {
    static_cast<Model*>(model)->add(*weight);
    return 1;
  } catch (...) {
    return 0;
  }
}

// `embedded` float32 [rows, hidden]; `cos` and `sin` float32 [rows, head_dim / 2]; `caches`: of each layer,
// then the scales of each, NULL where there are none; `wanted`: rows that become `logits` float32 [wanted_count, vocab]. 0: weights are missing, or out of memory.
int coderls_native_step(void* model, int rows, const float* embedded, const float* cos, const float* sin,
                        const Span* spans, int span_count, void* const* caches, const int32_t* wanted, int wanted_count,
                        float* logits) {
  Model* self = static_cast<Model*>(model);
  if (!self->complete() || rows < 1 || rows > MOST_ROWS) return 0;
  try {
    self->step(rows, embedded, cos, sin, spans, span_count, caches, wanted, wanted_count, logits);
    return 1;
  } catch (...) {
    return 0;
  }
}

// How many threads take part in steps, of those that it was made with; the results stay the same. Not during a step.
void coderls_native_use_threads(void* model, int count) { static_cast<Model*>(model)->use_threads(count); }

void coderls_native_destroy(void* model) { delete static_cast<Model*>(model); }

}  // extern "C"
