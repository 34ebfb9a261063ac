#include "tests/support/http_pair.h"

#include <algorithm>
#include <cstdio>
#include <map>
#include <utility>

#include "base/text.h"

namespace sluice::testing {

namespace {

std::string lines_of(const Fields& fields) {
  std::string out;
  for (const auto& [name, value] : fields) out += base::cat(name, ": ", value, "\r\n");
  return out;
}

std::string in_h1(const std::string& first_line, const HttpMessage& m) {
  std::string out = base::cat(first_line, "\r\n", lines_of(m.fields));
  if (!m.body) return out + "\r\n";
  if (m.with_length) return base::cat(out, "content-length: ", m.body->size(), "\r\n\r\n", *m.body);
  out += "transfer-encoding: chunked\r\n\r\n";
  for (size_t at = 0; at < m.body->size(); at += 10'000) {
    const std::string piece = m.body->substr(at, 10'000);
    char size[20];
    std::snprintf(size, sizeof(size), "%zx\r\n", piece.size());
    out += base::cat(size, piece, "\r\n");
  }
  return base::cat(out, "0\r\n", lines_of(m.trailers), "\r\n");
}

HttpMessage from_h1(const Message& m) {
  HttpMessage out;
  size_t at = m.head.find("\r\n");
  const std::string first = m.head.substr(0, at);
  const size_t space = first.find(' ');
  if (space != std::string::npos) {
    out.method = first.substr(0, space);
    out.path = first.substr(space + 1, first.find(' ', space + 1) - space - 1);
  }
  out.status = first.starts_with("HTTP/") ? m.status() : 0;
  while (at != std::string::npos && at + 2 < m.head.size()) {
    const size_t end = m.head.find("\r\n", at + 2);
    const std::string line = m.head.substr(at + 2, end - at - 2);
    const size_t colon = line.find(": ");
    if (colon != std::string::npos) {
      std::string name = line.substr(0, colon);
      std::transform(name.begin(), name.end(), name.begin(),
                     [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
      out.fields.emplace_back(name, line.substr(colon + 2));
    }
    at = end;
  }
  out.body = m.body;
  out.complete = m.complete;
  return out;
}

HttpMessage from_h2(const H2Peer::Stream& s) {
  HttpMessage out;
  out.method = value_of(s.head, ":method");
  out.path = value_of(s.head, ":path");
  out.status = s.status();
  out.interims = s.interims;
  out.fields = s.head;
  out.trailers = s.trailers;
  out.body = s.body;
  out.complete = s.ended;
  return out;
}

void send_h2(H2Peer& peer, int32_t id, const HttpMessage& m) {
  if (!m.body) return;
  peer.data(id, *m.body, m.trailers.empty());
  if (!m.trailers.empty()) peer.trailers(id, m.trailers);
}

Fields with_length(Fields fields, const HttpMessage& m) {
  fields.insert(fields.end(), m.fields.begin(), m.fields.end());
  if (m.body && m.with_length) {
    fields.emplace_back("content-length", std::to_string(m.body->size()));
  }
  return fields;
}

HttpMessage ask_h1(uint16_t port, const HttpMessage& request) {
  Socket client = Socket::connect(port);
  const std::string all =
      in_h1(base::cat(request.method, " ", request.path, " HTTP/1.1\r\nhost: h"), request);
  std::thread sender([&] { client.send(all); });
  std::string rest;
  std::vector<int> interims;
  Message m = read_message(client, &rest, request.method == "HEAD");
  while (m.complete && m.status() >= 100 && m.status() < 200) {
    interims.push_back(m.status());
    m = read_message(client, &rest, request.method == "HEAD");
  }
  sender.join();
  HttpMessage out = from_h1(m);
  out.interims = interims;
  return out;
}

HttpMessage ask_h2(uint16_t port, const HttpMessage& request) {
  H2Peer peer(Socket::connect(port), H2Peer::Role::kClient);
  const int32_t id = peer.request(with_length({{":method", request.method},
                                               {":scheme", "http"},
                                               {":authority", "h"},
                                               {":path", request.path}},
                                              request),
                                  !request.body);
  send_h2(peer, id, request);
  peer.run_until_ended(id);
  return from_h2(peer.stream(id));
}

}  // namespace

std::string HttpMessage::field(std::string_view name) const {
  const std::string in_head = value_of(fields, name);
  return in_head.empty() ? value_of(trailers, name) : in_head;
}

std::string pair_name(Http down, Http up) {
  const auto name = [](Http h) { return h == Http::k1 ? "h1" : "h2"; };
  return std::string(name(down)) + "_to_" + name(up);
}

HttpMessage ask(Http http, uint16_t port, const HttpMessage& request) {
  return http == Http::k1 ? ask_h1(port, request) : ask_h2(port, request);
}

AnyOrigin::AnyOrigin(Http http, Answer answer) : answer_(std::move(answer)) {
  origin_ = std::make_unique<ScriptedOrigin>([this, http](Socket& socket, int) {
    http == Http::k1 ? serve_h1(socket) : serve_h2(socket);
  });
}

HttpMessage AnyOrigin::take(HttpMessage request) {
  const std::lock_guard lock(mutex_);
  requests_.push_back(request);
  return answer_(request);
}

void AnyOrigin::serve_h1(Socket& socket) {
  std::string rest;
  for (;;) {
    const Message got = read_message(socket, &rest);
    if (!got.complete) return;
    const HttpMessage answer = take(from_h1(got));
    for (const int status : answer.interims) {
      socket.send(base::cat("HTTP/1.1 ", status, " Early\r\n\r\n"));
    }
    if (!socket.send(in_h1(base::cat("HTTP/1.1 ", answer.status, " OK"), answer))) return;
  }
}

void AnyOrigin::serve_h2(Socket& socket) {
  H2Peer peer(std::move(socket), H2Peer::Role::kServer);
  peer.serve([&](int32_t id) {
    const HttpMessage answer = take(from_h2(peer.stream(id)));
    for (const int status : answer.interims) peer.interim(id, status);
    peer.respond(id, with_length({{":status", std::to_string(answer.status)}}, answer),
                 !answer.body);
    send_h2(peer, id, answer);
  });
}

HttpMessage AnyOrigin::last_request() {
  const std::lock_guard lock(mutex_);
  return requests_.empty() ? HttpMessage() : requests_.back();
}

size_t AnyOrigin::num_requests() {
  const std::lock_guard lock(mutex_);
  return requests_.size();
}

void echo_tunnel(Socket& socket) {
  for (std::string got = socket.receive(); !got.empty(); got = socket.receive()) {
    if (!socket.send("<" + got + ">")) return;
  }
  socket.send("bye");
}

void echo_tunnels(H2Peer& peer, std::string_view greeting,
                  const std::function<void(const Fields&)>& check) {
  std::map<int32_t, size_t> echoed;  // bytes of each stream
  peer.run_until([&] {
    for (auto& [id, s] : peer.streams()) {
      if (!s.head_done) continue;
      if (!std::exchange(s.handled, true)) {
        check(s.head);
        peer.respond(id, {{":status", "200"}}, false);
        if (!greeting.empty()) peer.data(id, std::string(greeting), false);
      }
      size_t& seen = echoed[id];
      if (s.body.size() > seen) {
        peer.data(id, "<" + s.body.substr(seen) + ">", false);
        seen = s.body.size();
      }
      constexpr size_t kSaidBye = ~size_t{0};
      if (s.ended && seen != kSaidBye) {
        peer.data(id, "bye", true);
        seen = kSaidBye;
      }
    }
    return peer.closed();
  });
}

TestProxy::Config pair_config(Http upstream, uint16_t port) {
  TestProxy::Config config;
  config.routes = {forward_route("/", "c")};
  config.clusters = {static_cluster("c", {port})};
  if (upstream == Http::k2) {
    config.clusters[0].transport.http = sluice::upstream::TransportValue::Http::kHttp2;
  }
  return config;
}

}  // namespace sluice::testing
