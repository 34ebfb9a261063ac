#pragma once

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "net/resolver.h"

namespace sluice::testing {

// A resolver whose answers a test gives when it likes. Everything on the test's thread.
class ScriptedResolver final : public net::NameResolver {
 public:
  struct Question {
    LookupId id = 0;
    net::ResolverConfig config;
    std::string name;
    net::LookupFamily family = net::LookupFamily::kAuto;
    Done done;
  };

  LookupId resolve(const net::ResolverConfig& config, const std::string& name,
                   net::LookupFamily family, Done done) override {
    open.push_back({++last_, config, name, family, std::move(done)});
    ++asked[name];
    return last_;
  }
  void cancel(LookupId id) override {
    num_cancelled += std::erase_if(open, [&](const Question& q) { return q.id == id; });
  }

  bool is_asking(const std::string& name) const {
    for (const Question& q : open) {
      if (q.name == name) return true;
    }
    return false;
  }
  void answer(const std::string& name, const std::vector<std::string>& addresses,
              uint32_t ttl_s = 0) {
    net::DnsAnswer out;
    out.status = net::DnsAnswer::Status::kOk;
    out.ttl_s = ttl_s;
    for (const std::string& text : addresses) {
      base::IpAddress address;
      ASSERT_TRUE(base::IpAddress::parse(text, &address)) << text;
      out.addresses.push_back(address);
    }
    finish(name, std::move(out));
  }
  void fail(const std::string& name,
            net::DnsAnswer::Status status = net::DnsAnswer::Status::kTimeout) {
    net::DnsAnswer out;
    out.status = status;
    out.problem = "as the test says";
    finish(name, std::move(out));
  }

  std::vector<Question> open;
  std::map<std::string, int> asked;
  size_t num_cancelled = 0;

 private:
  void finish(const std::string& name, net::DnsAnswer out) {
    for (size_t i = 0; i < open.size(); ++i) {
      if (open[i].name != name) continue;
      const Done done = std::move(open[i].done);
      open.erase(open.begin() + static_cast<ptrdiff_t>(i));
      return done(std::move(out));
    }
    ADD_FAILURE() << "nobody asks for " << name;
  }

  LookupId last_ = 0;
};

}  // namespace sluice::testing
