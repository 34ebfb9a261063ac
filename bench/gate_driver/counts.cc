#include "bench/gate_driver/counts.h"

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <ctime>

// Built without fortification and built-ins, so that the definitions here are plain functions.

namespace {

SluiceGateCounts slots[kSluiceGateThreads];
std::atomic<uint32_t> num_slots{0};
SluiceGateCounts overflow;  // threads beyond the last slot share it
thread_local SluiceGateCounts* mine __attribute__((tls_model("initial-exec"))) = nullptr;

SluiceGateCounts& here() {
  if (mine == nullptr) {
    const uint32_t i = num_slots.fetch_add(1);
    mine = i < kSluiceGateThreads ? &slots[i] : &overflow;
    mine->tid = static_cast<int32_t>(syscall(SYS_gettid));
  }
  return *mine;
}

enum class What { kSend, kReceive, kWait, kOther };

void count_call(What what) {
  SluiceGateCounts& c = here();
  ++c.system_calls;
  if (what == What::kWait) ++c.waits;
  if (what == What::kOther) ++c.other_calls;
}

void count_copy(size_t bytes) {
  if (bytes >= kSluiceGateCopyBytes) here().copied_bytes += bytes;
}

void* next(const char* name) {
  void* f = nullptr;
  if (std::strncmp(name, "pthread_cond_", 13) == 0) f = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
  if (f == nullptr) f = dlsym(RTLD_NEXT, name);
  if (f == nullptr) std::abort();
  return f;
}

}  // namespace

#define NEXT(name) static const auto real = reinterpret_cast<decltype(&name)>(next(#name))

// A function that counts `count` and passes its arguments on.
#define SHADOW(result, name, parameters, arguments, count) \
  result name parameters {                                 \
    NEXT(name);                                            \
    count;                                                 \
    return real arguments;                                 \
  }

extern "C" {

const SluiceGateCounts* sluice_gate_counts(int32_t tid) {
  if (tid == 0) return &here();
  for (const SluiceGateCounts& slot : slots) {
    if (slot.tid == tid) return &slot;
  }
  return nullptr;
}

// ---- Memory. glibc's other names, because dlsym() allocates.

void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);
void __libc_free(void*);

static void count_allocation(size_t bytes) {
  SluiceGateCounts& c = here();
  ++c.allocations;
  c.allocated_bytes += bytes;
}

void* malloc(size_t n) {
  count_allocation(n);
  return __libc_malloc(n);
}
void* calloc(size_t n, size_t each) {
  count_allocation(n * each);
  return __libc_calloc(n, each);
}
void* realloc(void* p, size_t n) {
  count_allocation(n);
  return __libc_realloc(p, n);
}
void* memalign(size_t align, size_t n) {
  count_allocation(n);
  return __libc_memalign(align, n);
}
void* aligned_alloc(size_t align, size_t n) {
  count_allocation(n);
  return __libc_memalign(align, n);
}
int posix_memalign(void** out, size_t align, size_t n) {
  count_allocation(n);
  *out = __libc_memalign(align, n);
  return *out == nullptr ? ENOMEM : 0;
}
void free(void* p) {
  if (p != nullptr) ++here().frees;
  __libc_free(p);
}

// ---- Locks.

#define LOCK(name, type) SHADOW(int, name, (type * p), (p), ++here().locks)
LOCK(pthread_mutex_lock, pthread_mutex_t)
LOCK(pthread_mutex_trylock, pthread_mutex_t)
LOCK(pthread_rwlock_rdlock, pthread_rwlock_t)
LOCK(pthread_rwlock_wrlock, pthread_rwlock_t)
LOCK(pthread_rwlock_tryrdlock, pthread_rwlock_t)
LOCK(pthread_rwlock_trywrlock, pthread_rwlock_t)
LOCK(pthread_spin_lock, pthread_spinlock_t volatile)
LOCK(pthread_spin_trylock, pthread_spinlock_t volatile)
LOCK(pthread_cond_signal, pthread_cond_t)
LOCK(pthread_cond_broadcast, pthread_cond_t)
LOCK(sem_wait, sem_t)
LOCK(sem_post, sem_t)
SHADOW(int, pthread_mutex_timedlock, (pthread_mutex_t * m, const timespec* t), (m, t),
       ++here().locks)
SHADOW(int, pthread_cond_wait, (pthread_cond_t * c, pthread_mutex_t* m), (c, m), ++here().locks)
SHADOW(int, pthread_cond_timedwait, (pthread_cond_t * c, pthread_mutex_t* m, const timespec* t),
       (c, m, t), ++here().locks)
SHADOW(int, pthread_cond_clockwait,
       (pthread_cond_t * c, pthread_mutex_t* m, clockid_t k, const timespec* t), (c, m, k, t),
       ++here().locks)
SHADOW(int, pthread_once, (pthread_once_t * o, void (*f)()), (o, f), ++here().locks)

// ---- Time.

SHADOW(int, clock_gettime, (clockid_t k, timespec* t), (k, t), ++here().time_calls)
SHADOW(int, gettimeofday, (timeval * t, void* z), (t, z), ++here().time_calls)
SHADOW(time_t, time, (time_t* t), (t), ++here().time_calls)

// ---- System calls.

#define CALL(result, name, parameters, arguments, what) \
  SHADOW(result, name, parameters, arguments, count_call(What::what))
CALL(ssize_t, recv, (int fd, void* p, size_t n, int f), (fd, p, n, f), kReceive)
CALL(ssize_t, recvfrom, (int fd, void* p, size_t n, int f, sockaddr* a, socklen_t* l),
     (fd, p, n, f, a, l), kReceive)
CALL(ssize_t, recvmsg, (int fd, msghdr* m, int f), (fd, m, f), kReceive)
CALL(ssize_t, read, (int fd, void* p, size_t n), (fd, p, n), kReceive)
CALL(ssize_t, readv, (int fd, const iovec* v, int n), (fd, v, n), kReceive)
CALL(ssize_t, send, (int fd, const void* p, size_t n, int f), (fd, p, n, f), kSend)
CALL(ssize_t, sendto, (int fd, const void* p, size_t n, int f, const sockaddr* a, socklen_t l),
     (fd, p, n, f, a, l), kSend)
CALL(ssize_t, sendmsg, (int fd, const msghdr* m, int f), (fd, m, f), kSend)
CALL(int, sendmmsg, (int fd, mmsghdr* m, unsigned n, int f), (fd, m, n, f), kSend)
CALL(ssize_t, write, (int fd, const void* p, size_t n), (fd, p, n), kSend)
CALL(ssize_t, writev, (int fd, const iovec* v, int n), (fd, v, n), kSend)
CALL(int, epoll_wait, (int fd, epoll_event* e, int n, int t), (fd, e, n, t), kWait)
CALL(int, epoll_pwait, (int fd, epoll_event* e, int n, int t, const sigset_t* s), (fd, e, n, t, s),
     kWait)
CALL(int, epoll_pwait2, (int fd, epoll_event* e, int n, const timespec* t, const sigset_t* s),
     (fd, e, n, t, s), kWait)
CALL(int, poll, (pollfd * p, nfds_t n, int t), (p, n, t), kWait)
CALL(int, epoll_ctl, (int fd, int op, int of, epoll_event* e), (fd, op, of, e), kOther)
CALL(int, accept4, (int fd, sockaddr* a, socklen_t* l, int f), (fd, a, l, f), kOther)
CALL(int, accept, (int fd, sockaddr* a, socklen_t* l), (fd, a, l), kOther)
CALL(int, connect, (int fd, const sockaddr* a, socklen_t l), (fd, a, l), kOther)
CALL(int, socket, (int d, int t, int p), (d, t, p), kOther)
CALL(int, close, (int fd), (fd), kOther)
CALL(int, shutdown, (int fd, int how), (fd, how), kOther)
CALL(int, setsockopt, (int fd, int l, int o, const void* p, socklen_t n), (fd, l, o, p, n), kOther)
CALL(int, getsockopt, (int fd, int l, int o, void* p, socklen_t* n), (fd, l, o, p, n), kOther)
CALL(int, getsockname, (int fd, sockaddr* a, socklen_t* l), (fd, a, l), kOther)
CALL(int, getpeername, (int fd, sockaddr* a, socklen_t* l), (fd, a, l), kOther)
CALL(int, nanosleep, (const timespec* a, timespec* b), (a, b), kOther)
CALL(int, madvise, (void* p, size_t n, int a), (p, n, a), kOther)

// What a fortified build calls in place of recv and read.
ssize_t __recv_chk(int fd, void* p, size_t n, size_t, int f) { return recv(fd, p, n, f); }
ssize_t __read_chk(int fd, void* p, size_t n, size_t) { return read(fd, p, n); }
ssize_t __recvfrom_chk(int fd, void* p, size_t n, size_t, int f, sockaddr* a, socklen_t* l) {
  return recvfrom(fd, p, n, f, a, l);
}
int __poll_chk(pollfd* p, nfds_t n, int t, size_t) { return poll(p, n, t); }

// ---- Copies. Plain loops while the real one is looked up, which may copy itself.

typedef void* (*Copy)(void*, const void*, size_t);
static std::atomic<Copy> real_memcpy{nullptr};
static std::atomic<Copy> real_memmove{nullptr};
static std::atomic<bool> looked{false};

static Copy copier(std::atomic<Copy>& real, const char* name) {
  Copy f = real.load(std::memory_order_relaxed);
  if (f == nullptr && !looked.exchange(true)) {
    f = reinterpret_cast<Copy>(dlsym(RTLD_NEXT, name));
    real.store(f);
    looked = false;
  }
  return f;
}

static void* copy_plainly(void* to, const void* from, size_t n) {
  auto* t = static_cast<char volatile*>(to);
  const auto* f = static_cast<const char*>(from);
  if (t <= f) {
    for (size_t i = 0; i < n; ++i) t[i] = f[i];
  } else {
    for (size_t i = n; i-- > 0;) t[i] = f[i];
  }
  return to;
}

void* memcpy(void* to, const void* from, size_t n) {
  count_copy(n);
  const Copy f = copier(real_memcpy, "memcpy");
  return f != nullptr ? f(to, from, n) : copy_plainly(to, from, n);
}
void* memmove(void* to, const void* from, size_t n) {
  count_copy(n);
  const Copy f = copier(real_memmove, "memmove");
  return f != nullptr ? f(to, from, n) : copy_plainly(to, from, n);
}
void* __memcpy_chk(void* to, const void* from, size_t n, size_t) { return memcpy(to, from, n); }
void* __memmove_chk(void* to, const void* from, size_t n, size_t) { return memmove(to, from, n); }

}  // extern "C"
