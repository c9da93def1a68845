// Threads that share one step, and never wait for one that has nothing to do.
//
// A step is a row of parts. Whoever comes takes pieces of a part until none are left, and goes on once all pieces are
// done, not once all threads have come: on cores that other programs want too, one of ours may be away for long, and
// the others do its share. A thread that waits turns for some tens of microseconds and then sleeps, so that an idle
// engine takes no processor time.
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

// Returns once `fits` is true of the value. Whoever makes it true has to notify.
template <class Fits>
inline void wait_until(const std::atomic<int32_t>& value, Fits fits) {
  for (int turn = 0; turn < 2000; ++turn) {
    if (fits(value.load(std::memory_order_acquire))) return;
    pause();
  }
  for (;;) {
    int32_t now = value.load(std::memory_order_acquire);
    if (fits(now)) return;
    value.wait(now, std::memory_order_acquire);
  }
}

// A part of a step: which pieces were taken, and how many are done.
class alignas(64) Part {
 public:
  void reset() {
    next_.store(0, std::memory_order_relaxed);
    done_.store(0, std::memory_order_relaxed);
  }

  // Calls prepare() once, before the first piece that this thread takes, and each(piece) for those that it takes, `some`
  // at a time; returns when all `pieces` are done, by whomever. Between prepare and the taking of a piece nothing that
  // the part reads can change: it is not done while a piece is left.
  template <class Prepare, class Each>
  void share(int pieces, int some, Prepare prepare, Each each) {
    if (next_.load(std::memory_order_relaxed) < pieces) {
      prepare();
      for (int at; (at = next_.fetch_add(some, std::memory_order_relaxed)) < pieces;) {
        int end = at + some < pieces ? at + some : pieces;
        for (int i = at; i < end; ++i) each(i);
        if (done_.fetch_add(end - at, std::memory_order_acq_rel) + end - at == pieces) done_.notify_all();
      }
    }
    wait_until(done_, [pieces](int32_t done) { return done >= pieces; });
  }

  // Counts one; how many there were before.
  int count() { return next_.fetch_add(1, std::memory_order_acq_rel); }

 private:
  std::atomic<int32_t> next_{0}, done_{0};
};

class Pool {
 public:
  using Function = void (*)(void* context, int thread);

  Pool(int threads, Function function, void* context) : function_(function), context_(context) {
    for (int i = 1; i < threads; ++i) threads_.emplace_back([this, i] { work(i); });
  }

  ~Pool() {
    leave_ = true;
    use(int(threads_.size()) + 1);
    advance();
    for (std::thread& thread : threads_) thread.join();
  }

  // So many threads take part from the next step on, the caller among them; the others sleep.
  void use(int threads) {
    used_ = threads;
    used_.notify_all();
  }

  // Before a step is made ready: returns when no thread is in the one before. One may be late, with nothing left to do.
  void settle() {
    wait_until(inside_, [](int32_t inside) { return inside == 0; });
  }

  // Calls function(context, i) in all threads that are there, in the caller as 0, which has to see that all is done.
  void run() {
    open_ = true;
    advance();
    function_(context_, 0);
    open_ = false;
  }

 private:
  void advance() {
    job_.fetch_add(1, std::memory_order_release);
    job_.notify_all();
  }

  void work(int thread) {
    for (int32_t seen = 0;;) {
      wait_until(used_, [thread](int32_t used) { return used > thread; });
      wait_until(job_, [seen](int32_t job) { return job != seen; });
      seen = job_.load(std::memory_order_acquire);
      if (leave_) return;
      if (used_.load() <= thread) continue;
      // Either `settle` sees this thread inside, or this thread sees that the step is over.
      inside_.fetch_add(1);
      if (open_) function_(context_, thread);
      if (inside_.fetch_sub(1) == 1) inside_.notify_all();
    }
  }

  const Function function_;
  void* const context_;
  std::atomic<bool> open_{false}, leave_{false};
  std::atomic<int32_t> used_{INT32_MAX};
  alignas(64) std::atomic<int32_t> job_{0};
  alignas(64) std::atomic<int32_t> inside_{0};
  std::vector<std::thread> threads_;  // last: they use all that is above
};

}  // namespace pool
