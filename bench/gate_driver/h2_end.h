#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/slab.h"
#include "base/stat_groups.h"
#include "base/stats.h"
#include "bench/gate_driver/proxy.h"
#include "http/h2_codec.h"

namespace sluice::gate {

// H2End is a client or an origin of the gate that speaks HTTP/2: it opens streams, or answers them,
// and says when a message is whole. Bytes in, bytes out; its costs are not counted.
class H2End {
 public:
  H2End(bool client, const Scenario& scenario, std::string path);
  ~H2End();
  H2End(const H2End&) = delete;
  H2End& operator=(const H2End&) = delete;

  // Client: one more request. Origin: the answer to the oldest request.
  void send_message();
  void receive(std::string_view bytes);
  // What is to be written now.
  std::string take_output();
  // Messages that came whole and were not taken yet.
  bool take_message();

 private:
  struct Message;
  void handle(http::H2Codec::Event& event);
  void finished(Message* message);
  void drop_closed();

  const bool client_;
  const Scenario& scenario_;
  const std::string path_;
  const std::string body_;
  http::H2Options options_;
  base::StatsStore stats_;
  base::WorkerCells<base::H2Cells> cells_;
  base::BlockPool blocks_;
  base::Slab slab_;
  std::unique_ptr<http::H2Codec> codec_;
  std::string input_;
  std::vector<std::unique_ptr<Message>> messages_;
  std::deque<Message*> to_answer_;
  uint32_t num_whole_ = 0;
};

}  // namespace sluice::gate
