// The CUDA execution model on CPU threads: the threads of a block are fibers that run until they meet a barrier. The
// blocks of a cluster have a CPU thread each, so that each has its own shared memory, but only one of them runs at a
// time.
//
// What it proves: indices, tails, barriers that all threads reach, copies that are waited for, that no block touches
// the memory of one that has not begun or has ended, the arithmetic, and independence of the order in which threads and
// blocks run (run everything in both orders and compare); built with -fsanitize=address,bounds and run with libasan
// preloaded, also that no access strays. What it cannot: speed, real memory ordering.
#include "cuda_runtime.h"

#include "cooperative_groups.h"
#include "cuda_pipeline_primitives.h"

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

__thread dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulation {
namespace {

constexpr size_t STACK = 128 * 1024;
constexpr int WARP = 32, MAX_BLOCKS = 16;

enum class State { ready, at_warp, at_block, at_cluster, done };

struct Copy {
  void* to;
  const void* from;
  size_t bytes;
};

struct Fiber {
  std::unique_ptr<char[]> stack{new char[STACK]};
  ucontext_t begin;
  jmp_buf here;
  bool started;
  State state;
  int parity;  // which of the two exchange slots comes next
  unsigned char slot[2][16];
  int64_t meetings;  // of the cluster, that this thread has arrived at
  std::vector<Copy> copies;
};

std::mutex one_launch_at_a_time;
bool reversed = false;
const std::function<void()>* body;

struct Cluster {  // the blocks that live at the same time
  int blocks;
  int64_t arrivals;  // of threads, at all meetings
  std::array<bool, MAX_BLOCKS> begun, ended;
  std::array<char*, MAX_BLOCKS> anchors;
  std::string failure;
} cluster;

std::mutex turns;
std::condition_variable turn_passed;
int turn, passes;  // whose turn it is; how often it has been passed since anything moved

struct Block {
  int rank = 0, threads = 0, current = 0;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<uint64_t> shared;
  jmp_buf scheduler;
};
Block blocks[MAX_BLOCKS];
thread_local Block* block = &blocks[0];
thread_local char anchor;  // lies at the same distance from a static shared variable in every CPU thread

Fiber& fiber() {
  return *block->fibers[block->current];
}

[[noreturn]] void fiber_main() {
  (*body)();
  fiber().state = State::done;
  _longjmp(block->scheduler, 1);
}

void pause(State state) {
  Fiber& f = fiber();
  f.state = state;
  if (_setjmp(f.here) == 0) _longjmp(block->scheduler, 1);
}

void resume(int index) {
  block->current = index;
  threadIdx = dim3(index % blockDim.x, index / blockDim.x);
  Fiber& f = fiber();
  if (_setjmp(block->scheduler) != 0) return;
  if (f.started) _longjmp(f.here, 1);
  f.started = true;
  setcontext(&f.begin);
}

bool all_in(int from, int to, State state) {
  for (int i = from; i < to; ++i) {
    if (block->fibers[i]->state != state) return false;
  }
  return true;
}

bool met(const Fiber& f) {
  return cluster.arrivals >= f.meetings * cluster.blocks * block->threads;
}

// Lets go those whose barrier is complete; false when none is.
bool release() {
  bool any = false;
  const int threads = block->threads;
  const auto let_go = [&](int i) {
    block->fibers[i]->state = State::ready;
    any = true;
  };
  for (int from = 0; from < threads; from += WARP) {
    if (from + WARP > threads || !all_in(from, from + WARP, State::at_warp)) continue;
    for (int i = from; i < from + WARP; ++i) let_go(i);
  }
  if (all_in(0, threads, State::at_block)) {
    for (int i = 0; i < threads; ++i) let_go(i);
  }
  for (int i = 0; i < threads; ++i) {
    if (block->fibers[i]->state == State::at_cluster && met(*block->fibers[i])) let_go(i);
  }
  return any;
}

void begin_block(size_t shared_bytes) {
  while (int(block->fibers.size()) < block->threads) block->fibers.push_back(std::make_unique<Fiber>());
  block->shared.assign(shared_bytes / 8 + 2, ~uint64_t(0));  // NaN in every type
  for (int i = 0; i < block->threads; ++i) {
    Fiber& f = *block->fibers[i];
    getcontext(&f.begin);
    f.begin.uc_stack.ss_sp = f.stack.get();
    f.begin.uc_stack.ss_size = STACK;
    f.begin.uc_link = nullptr;
    makecontext(&f.begin, reinterpret_cast<void (*)()>(fiber_main), 0);
    f.started = false;
    f.state = State::ready;
    f.parity = 0;
    f.meetings = 0;
    f.copies.clear();
  }
  cluster.begun[block->rank] = true;
  cluster.anchors[block->rank] = &anchor;
}

// Runs a block until all its threads are done (true) or none can go on without another block (false).
bool run_block() {
  do {
    for (int i = 0; i < block->threads; ++i) {
      const int index = reversed ? block->threads - 1 - i : i;
      if (block->fibers[index]->state == State::ready) resume(index);
    }
    if (all_in(0, block->threads, State::done)) return cluster.ended[block->rank] = true;
  } while (release());
  return false;
}

// One CPU thread of a cluster: its block, in turns with the others.
void take_turns(int rank, dim3 grid, dim3 shape, unsigned index, size_t shared_bytes) {
  block = &blocks[rank];
  gridDim = grid;
  blockDim = shape;
  blockIdx = dim3(index);
  std::unique_lock<std::mutex> lock(turns);
  bool begun = false, done = false;
  const auto all_ended = [] { return std::count(cluster.ended.begin(), cluster.ended.end(), true) == cluster.blocks; };
  while (!all_ended() && cluster.failure.empty()) {
    turn_passed.wait(lock, [&] { return turn == rank || all_ended() || !cluster.failure.empty(); });
    if (turn != rank) break;
    const int64_t arrivals = cluster.arrivals;
    if (!begun) begin_block(shared_bytes);
    if (!done && (!begun || release())) {
      done = run_block();
      passes = 0;
    }
    begun = true;
    if (cluster.arrivals != arrivals) passes = 0;
    if (++passes > 2 * cluster.blocks) cluster.failure = "a barrier that not all threads of a cluster reach";
    turn = (rank + (reversed ? cluster.blocks - 1 : 1)) % cluster.blocks;
    turn_passed.notify_all();
  }
}

void run_cluster(dim3 grid, dim3 shape, unsigned first, int count, size_t shared_bytes) {
  cluster = Cluster{};
  cluster.blocks = count;
  turn = reversed ? count - 1 : 0;
  passes = 0;
  std::vector<std::thread> pool;
  for (int rank = 0; rank < count; ++rank) {
    blocks[rank].rank = rank;
    blocks[rank].threads = int(shape.x * shape.y);
    pool.emplace_back(take_turns, rank, grid, shape, first + rank, shared_bytes);
  }
  for (std::thread& t : pool) t.join();
}

void run_alone(dim3 grid, dim3 shape, unsigned index, size_t shared_bytes) {
  cluster = Cluster{};
  cluster.blocks = 1;
  block = &blocks[0];
  block->threads = int(shape.x * shape.y);
  gridDim = grid;
  blockDim = shape;
  blockIdx = dim3(index);
  begin_block(shared_bytes);
  if (!run_block()) cluster.failure = "a barrier that not all threads reach";
}

}  // namespace

void wait_for_block() {
  pause(State::at_block);
}

void exchange(const void* mine, void* theirs, size_t bytes, int offset) {
  Fiber& f = fiber();
  const int parity = f.parity;
  f.parity = 1 - parity;
  std::memcpy(f.slot[parity], mine, bytes);
  const int partner = block->current ^ offset;
  pause(State::at_warp);
  std::memcpy(theirs, block->fibers[partner]->slot[parity], bytes);
}

void* dynamic_shared() {
  const auto address = reinterpret_cast<uintptr_t>(block->shared.data());
  return reinterpret_cast<void*>((address + 15) / 16 * 16);
}

void copy_later(void* to, const void* from, size_t bytes) {
  const auto places = reinterpret_cast<uintptr_t>(to) | reinterpret_cast<uintptr_t>(from);
  if (places % bytes != 0) cluster.failure = "an asynchronous copy off its boundary";
  fiber().copies.push_back({to, from, bytes});
}

void finish_copies() {
  for (const Copy& copy : fiber().copies) std::memcpy(copy.to, copy.from, copy.bytes);
  fiber().copies.clear();
}

void cluster_arrive() {
  ++fiber().meetings;
  ++cluster.arrivals;
}

void cluster_wait() {
  if (!met(fiber())) pause(State::at_cluster);
}

void* in_block(void* mine, int rank) {
  if (!cluster.begun[rank]) cluster.failure = "the memory of a block that has not begun";
  if (cluster.ended[rank]) cluster.failure = "the memory of a block that has ended";
  return cluster.begun[rank] ? cluster.anchors[rank] + (static_cast<char*>(mine) - &anchor) : mine;
}

cudaError_t run(const cudaLaunchConfig_t& config, const std::function<void()>& thread) {
  const std::lock_guard<std::mutex> lock(one_launch_at_a_time);
  const dim3 grid = config.gridDim, shape = config.blockDim;
  const unsigned threads = shape.x * shape.y * shape.z;
  if (threads < 1 || threads > 1024 || shape.z != 1 || grid.x < 1 || grid.y != 1 || grid.z != 1 ||
      !fits_device(config)) {
    return cudaErrorInvalidConfiguration;
  }
  count_launch(config);
  body = &thread;
  const unsigned size = cluster_of(config);
  for (unsigned i = 0; i < grid.x / size; ++i) {
    const unsigned first = (reversed ? grid.x / size - 1 - i : i) * size;
    if (size == 1) {
      run_alone(grid, shape, first, config.dynamicSmemBytes);
    } else {
      run_cluster(grid, shape, first, int(size), config.dynamicSmemBytes);
    }
    if (!cluster.failure.empty()) throw std::runtime_error("emulation: " + cluster.failure);
  }
  return cudaSuccess;
}

}  // namespace emulation

extern "C" {

void emulation_reverse_order(bool yes) {
  emulation::reversed = yes;
}
}
