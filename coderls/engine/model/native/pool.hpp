// Threads that run one function together, with barriers inside of it.
//
// A thread that waits turns for some tens of microseconds (a barrier of a step takes less) and then sleeps, so that
// an idle engine takes no processor time.
#pragma once

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

namespace pool {

inline void pause() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ __volatile__("yield");
#endif
}

// Returns once `value` is no longer `old`.
inline void wait_for_change(const std::atomic<int32_t>& value, int32_t old) {
  for (int turn = 0; turn < 2000; ++turn) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  while (value.load(std::memory_order_acquire) == old) value.wait(old, std::memory_order_acquire);
}

class Pool {
 public:
  using Function = void (*)(void* context, int thread);

  explicit Pool(int threads) : count_(threads) {
    for (int i = 1; i < threads; ++i) threads_.emplace_back([this, i] { work(i); });
  }

  ~Pool() {
    function_ = nullptr;
    advance(job_);
    for (std::thread& thread : threads_) thread.join();
  }

  int count() const { return count_; }

  // Calls function(context, i) on all threads, the caller's among them as 0, and returns when all are done.
  void run(Function function, void* context) {
    function_ = function;
    context_ = context;
    advance(job_);
    function(context, 0);
    barrier();
  }

  // Every thread of the function that runs has to come here before any goes on.
  void barrier() {
    if (count_ == 1) return;
    int32_t round = round_.load(std::memory_order_acquire);
    if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
      arrived_.store(0, std::memory_order_relaxed);
      advance(round_);
    } else {
      wait_for_change(round_, round);
    }
  }

 private:
  static void advance(std::atomic<int32_t>& value) {
    value.fetch_add(1, std::memory_order_release);
    value.notify_all();
  }

  void work(int thread) {
    int32_t seen = 0;
    for (;;) {
      wait_for_change(job_, seen);
      ++seen;
      if (function_ == nullptr) return;
      function_(context_, thread);
      barrier();
    }
  }

  const int count_;
  std::vector<std::thread> threads_;
  Function function_ = nullptr;
  void* context_ = nullptr;
  alignas(64) std::atomic<int32_t> job_{0};
  alignas(64) std::atomic<int32_t> arrived_{0};
  alignas(64) std::atomic<int32_t> round_{0};
};

// Hands out pieces of work to whoever comes: a thread that lost its core to another program holds up nobody.
struct alignas(64) Counter {
  std::atomic<int> next{0};
  int take(int pieces) { return next.fetch_add(pieces, std::memory_order_relaxed); }
};

}  // namespace pool
