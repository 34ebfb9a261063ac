#include "admin/server.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/text.h"
#include "dataplane/log.h"

namespace sluice::admin {
namespace {

absl::Status write_address(const std::string& path, const std::string& text) {
  std::FILE* file = std::fopen(path.c_str(), "we");
  if (file == nullptr) {
    return base::config_error("--admin-address-path: cannot write ", path, ": ",
                              std::strerror(errno));
  }
  const bool written = std::fwrite(text.data(), 1, text.size(), file) == text.size();
  if (std::fclose(file) == 0 && written) return absl::OkStatus();
  return base::config_error("--admin-address-path: cannot write ", path, ": ",
                            std::strerror(errno));
}

const Page* find_page(std::string_view path) {
  for (const auto* list : {&pages(), &refused_pages()}) {
    for (const Page& page : *list) {
      if (page.path == path) return &page;
    }
  }
  return nullptr;
}

}  // namespace

absl::StatusOr<std::unique_ptr<AdminServer>> AdminServer::start(const Options& options,
                                                                dataplane::Server& server,
                                                                Sources sources) {
  std::unique_ptr<AdminServer> admin(new AdminServer(options, server, std::move(sources)));
  if (absl::Status status = admin->listen(); !status.ok()) return status;
  return admin;
}

AdminServer::AdminServer(const Options& options, dataplane::Server& server, Sources sources)
    : options_(options),
      server_(server),
      sources_(std::move(sources)),
      site_{server_, sources_},
      self_(std::make_shared<AdminServer*>(this)) {}

AdminServer::~AdminServer() { *self_ = nullptr; }

absl::Status AdminServer::listen() {
  auto sockets = net::listen_for_workers(options_.address, 1, {.reuse_port = false});
  if (!sockets.ok()) {
    return base::config_error("admin.address: ", base::message_of(sockets.status()));
  }
  acceptor_ = std::make_unique<net::Acceptor>(server_.main(), std::move(sockets->front()),
                                              &AdminServer::on_accept, this);
  if (!acceptor_->ok()) return base::config_error("admin.address: ", std::strerror(errno));
  const base::Address bound = local();
  log::info("admin", base::cat("admin address: ", bound.to_string()));
  if (bound.is_ip() && !bound.ip().is_loopback()) {
    log::warn("admin", base::cat("admin.address: ", bound.to_string(),
                                 " can be reached from other hosts, and admin asks nobody who they "
                                 "are; use 127.0.0.1 or a Unix-domain socket"));
  }
  if (options_.address_path.empty()) return absl::OkStatus();
  return write_address(options_.address_path, bound.to_string());
}

void AdminServer::on_accept(void* owner, int fd, const sockaddr_storage&, socklen_t) noexcept {
  auto& self = *static_cast<AdminServer*>(owner);
  const uint64_t id = ++self.last_id_;
  auto& connection = self.connections_[id];
  connection = std::make_unique<Connection>(self, self.server_.main(), self.pool_, id);
  if (!connection->start(fd)) {
    self.connections_.erase(id);
  } else if (self.connections_.size() >= self.options_.max_connections) {
    self.acceptor_->pause();
  }
}

void AdminServer::on_closed(uint64_t id) {
  closed_.push_back(id);
  server_.main().again(sweep_);
}

void AdminServer::sweep() noexcept {
  for (const uint64_t id : std::exchange(closed_, {})) connections_.erase(id);
  if (connections_.size() < options_.max_connections) acceptor_->resume();
}

void AdminServer::on_request(uint64_t id, const Request& request) {
  const Reply reply = [self = self_, id](Response response) {
    if (*self == nullptr) return;
    const auto found = (*self)->connections_.find(id);
    if (found != (*self)->connections_.end()) found->second->respond(std::move(response));
  };
  const Page* page = find_page(request.path);
  if (page == nullptr) {
    return reply(
        {.status = 404, .text = base::cat("invalid path. admin commands are:\n", help_text())});
  }
  const bool post = request.method == http::Method::kPost;
  const bool reads = request.method == http::Method::kGet || request.method == http::Method::kHead;
  if ((page->changes && !post) || (!post && !reads)) {
    return reply({.status = 405,
                  .text = base::cat("Method ", http::text_of(request.method), " not allowed, ",
                                    page->changes ? "POST" : "GET", " required.")});
  }
  page->show(site_, request, reply);
}

}  // namespace sluice::admin
