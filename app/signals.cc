#include "app/signals.h"

#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <csignal>
#include <utility>

namespace sluice::app {
namespace {

sigset_t our_signals() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGUSR1}) sigaddset(&set, signal);
  return set;
}

}  // namespace

void block_signals() {
  const sigset_t set = our_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
}

Signals::Signals(net::Loop& loop, std::function<void(int)> on_signal)
    : EventTarget(&Signals::on_ready), loop_(loop), on_signal_(std::move(on_signal)) {
  const sigset_t set = our_signals();
  fd_ = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  loop_.add(fd_, EPOLLIN, this);
}

Signals::~Signals() {
  loop_.remove(this);
  close(fd_);
}

void Signals::on_ready(net::EventTarget* self, uint32_t) noexcept {
  auto* signals = static_cast<Signals*>(self);
  signalfd_siginfo info;
  while (read(signals->fd_, &info, sizeof(info)) == sizeof(info)) {
    signals->on_signal_(static_cast<int>(info.ssi_signo));
  }
}

}  // namespace sluice::app
