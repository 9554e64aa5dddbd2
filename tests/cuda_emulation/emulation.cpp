// The CUDA execution model on one CPU thread: the threads of a block are fibers that run until they meet a barrier.
//
// What it proves: indices, tails, barriers that all threads reach, the arithmetic, and independence of the order in which
// threads and blocks run (run everything in both orders and compare); built with -fsanitize=address,bounds and run with
// libasan preloaded, also that no access strays. What it cannot: speed, real memory ordering.
#include "cuda_runtime.h"

#include <torch/csrc/inductor/aoti_torch/c/shim.h>

#include <setjmp.h>
#include <ucontext.h>

#include <memory>
#include <mutex>
#include <stdexcept>
#include <vector>

dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {
namespace {

constexpr size_t STACK = 256 * 1024;
constexpr int WARP = 32;

enum class State { ready, at_warp, at_block, done };

struct Fiber {
  std::unique_ptr<char[]> stack{new char[STACK]};
  ucontext_t begin;
  jmp_buf here;
  bool started;
  State state;
  int parity;               // which of the two exchange slots comes next
  unsigned char slot[2][16];
};

std::mutex one_launch_at_a_time;
std::vector<std::unique_ptr<Fiber>> fibers;
jmp_buf scheduler;
int current, threads;
bool reversed = false;
const std::function<void()>* body;

[[noreturn]] void fiber_main() {
  (*body)();
  fibers[current]->state = State::done;
  _longjmp(scheduler, 1);
}

void pause(State state) {
  Fiber& f = *fibers[current];
  f.state = state;
  if (_setjmp(f.here) == 0) _longjmp(scheduler, 1);
}

void resume(int index) {
  current = index;
  threadIdx = dim3(index % blockDim.x, index / blockDim.x);
  Fiber& f = *fibers[index];
  if (_setjmp(scheduler) != 0) return;
  if (f.started) _longjmp(f.here, 1);
  f.started = true;
  setcontext(&f.begin);
}

bool all_in(int from, int to, State state) {
  for (int i = from; i < to; ++i) {
    if (fibers[i]->state != state) return false;
  }
  return true;
}

// Lets go those whose barrier is complete; false when none is.
bool release() {
  bool any = false;
  for (int from = 0; from < threads; from += WARP) {
    if (from + WARP > threads || !all_in(from, from + WARP, State::at_warp)) continue;
    for (int i = from; i < from + WARP; ++i) fibers[i]->state = State::ready;
    any = true;
  }
  if (all_in(0, threads, State::at_block)) {
    for (int i = 0; i < threads; ++i) fibers[i]->state = State::ready;
    any = true;
  }
  return any;
}

void run_block() {
  for (int i = 0; i < threads; ++i) {
    Fiber& f = *fibers[i];
    getcontext(&f.begin);
    f.begin.uc_stack.ss_sp = f.stack.get();
    f.begin.uc_stack.ss_size = STACK;
    f.begin.uc_link = nullptr;
    makecontext(&f.begin, reinterpret_cast<void (*)()>(fiber_main), 0);
    f.started = false;
    f.state = State::ready;
    f.parity = 0;
  }
  for (;;) {
    for (int i = 0; i < threads; ++i) {
      const int index = reversed ? threads - 1 - i : i;
      if (fibers[index]->state == State::ready) resume(index);
    }
    if (all_in(0, threads, State::done)) return;
    if (!release()) throw std::runtime_error("emulation: a barrier that not all threads reach");
  }
}

}  // namespace

void wait_for_block() {
  pause(State::at_block);
}

void exchange(const void* mine, void* theirs, size_t bytes, int offset) {
  Fiber& f = *fibers[current];
  const int parity = f.parity;
  f.parity = 1 - parity;
  std::memcpy(f.slot[parity], mine, bytes);
  const int partner = current ^ offset;
  pause(State::at_warp);
  std::memcpy(theirs, fibers[partner]->slot[parity], bytes);
}

cudaError_t run(dim3 grid, dim3 block, const std::function<void()>& thread) {
  const std::lock_guard<std::mutex> lock(one_launch_at_a_time);
  threads = int(block.x * block.y * block.z);
  if (threads < 1 || threads > 1024 || block.z != 1 || grid.x < 1 || grid.y != 1 || grid.z != 1) {
    return cudaErrorInvalidConfiguration;
  }
  while (int(fibers.size()) < threads) fibers.push_back(std::make_unique<Fiber>());
  gridDim = grid;
  blockDim = block;
  body = &thread;
  for (unsigned i = 0; i < grid.x; ++i) {
    blockIdx = dim3(reversed ? grid.x - 1 - i : i);
    run_block();
  }
  return cudaSuccess;
}

}  // namespace emulation

extern "C" {

void emulation_reverse_order(bool yes) {
  emulation::reversed = yes;
}

// CPU tensors have no stream and no device to make current.
AOTITorchError aoti_torch_get_current_cuda_stream(int32_t, void** stream) {
  *stream = nullptr;
  return 0;
}

AOTITorchError aoti_torch_create_device_guard(int32_t, DeviceGuardHandle* guard) {
  *guard = nullptr;
  return 0;
}

AOTITorchError aoti_torch_delete_device_guard(DeviceGuardHandle) {
  return 0;
}
}
