#include "dataplane/access_log.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "base/text.h"
#include "tests/oracle/sample_exchange.h"

namespace sluice::dataplane {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class AccessLogTest : public testing::Test {
 protected:
  AccessLogTest() {
    char name[] = "/tmp/sluice_access_log_XXXXXX";
    directory = mkdtemp(name);
  }
  ~AccessLogTest() override {
    for (const char* file : {"a.log", "b.log", "a.log.1"}) ::unlink(path(file).c_str());
    ::rmdir(directory.c_str());
  }

  std::string path(const std::string& file) const { return directory + "/" + file; }
  static std::string read(const std::string& file) {
    std::ifstream in(file, std::ios::binary);
    std::stringstream all;
    all << in.rdbuf();
    return all.str();
  }
  static size_t num_lines(const std::string& text) {
    return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
  }
  std::shared_ptr<const AccessLogger> logger(const AccessLogValue& value) {
    auto made = AccessLogger::compile(value, "access_log[0]", *flusher);
    EXPECT_TRUE(made.ok()) << made.status();
    return made.ok() ? *made : nullptr;
  }
  std::shared_ptr<const AccessLogger> logger(const std::string& file, const std::string& format) {
    AccessLogValue value;
    value.path = path(file);
    value.text_format = format;
    return logger(value);
  }
  std::string error_of(const AccessLogValue& value) {
    const auto made = AccessLogger::compile(value, "access_log[0]", *flusher);
    return made.ok() ? "" : std::string(base::message_of(made.status()));
  }

  oracle::SampleExchange x;
  std::string directory;
  base::StatsStore stats;
  std::unique_ptr<AccessLogFlusher> flusher =
      std::make_unique<AccessLogFlusher>(stats, AccessLogFlusher::Options{});
};

TEST_F(AccessLogTest, LinesAppearAfterAFlushInOrder) {
  const auto log = logger("a.log", "%RESPONSE_CODE% %ROUTE_NAME%\n");
  WorkerAccessLog worker(*flusher);
  EXPECT_FALSE(worker.pending());
  for (const uint16_t code : std::vector<uint16_t>{200, 404, 503}) {
    x.facts.response_code = code;
    worker.log(*log, x.facts);
  }
  EXPECT_TRUE(worker.pending());
  EXPECT_EQ(read(path("a.log")), "");  // nothing is written from the request path
  worker.flush();
  EXPECT_FALSE(worker.pending());
  flusher->wait_written();
  EXPECT_EQ(read(path("a.log")), "200 to-backend\n404 to-backend\n503 to-backend\n");
  EXPECT_EQ(stats.value("filesystem.write_buffered"), 3u);
  EXPECT_EQ(stats.value("filesystem.write_completed"), 1u);
  EXPECT_EQ(stats.value("filesystem.flushed_by_timer"), 1u);
  EXPECT_EQ(stats.value("filesystem.write_total_buffered"), 0u);
}

TEST_F(AccessLogTest, EverythingIsWrittenBeforeTheEnd) {
  const auto log = logger("a.log", "%BYTES_SENT%\n");
  {
    WorkerAccessLog worker(*flusher);
    for (int i = 0; i < 100; ++i) worker.log(*log, x.facts);
  }
  flusher.reset();
  EXPECT_EQ(num_lines(read(path("a.log"))), 100u);
}

TEST_F(AccessLogTest, TwoLoggersOfOnePathShareTheFile) {
  const auto one = logger("a.log", "one\n");
  const auto two = logger("a.log", "two\n");
  const auto other = logger("b.log", "other\n");
  WorkerAccessLog worker(*flusher);
  worker.log(*one, x.facts);
  worker.log(*two, x.facts);
  worker.log(*other, x.facts);
  worker.flush();
  flusher->wait_written();
  EXPECT_EQ(read(path("a.log")), "one\ntwo\n");
  EXPECT_EQ(read(path("b.log")), "other\n");
}

TEST_F(AccessLogTest, TheFilterDecidesWhatIsLogged) {
  AccessLogValue value;
  value.path = path("a.log");
  value.text_format = "%RESPONSE_CODE%\n";
  value.filter.kind = LogFilterValue::Kind::kStatus;
  value.filter.compare = LogFilterValue::Compare::kAtLeast;
  value.filter.number = 400;
  const auto log = logger(value);
  WorkerAccessLog worker(*flusher);
  for (const uint16_t code : std::vector<uint16_t>{0, 200, 399, 400, 599}) {
    x.facts.response_code = code;
    worker.log(*log, x.facts);
  }
  worker.flush();
  flusher->wait_written();
  EXPECT_EQ(read(path("a.log")), "400\n599\n");
}

TEST_F(AccessLogTest, JsonAndDefaultFormat) {
  AccessLogValue value;
  value.path = path("a.log");
  value.json = true;
  value.json_format = {{"code", "%RESPONSE_CODE%"}, {"who", "%REQ(USER-AGENT)%"}};
  const auto json = logger(value);
  const auto text = logger("a.log", "");
  WorkerAccessLog worker(*flusher);
  worker.log(*json, x.facts);
  worker.log(*text, x.facts);
  worker.flush();
  flusher->wait_written();
  EXPECT_THAT(read(path("a.log")),
              StartsWith("{\"code\":200,\"who\":\"curl/8.0\"}\n[2018-05-12T07:03:04.123Z] \"GET "));
}

TEST_F(AccessLogTest, ErrorsNamePathAndCause) {
  AccessLogValue value;
  value.path = directory + "/none/a.log";
  EXPECT_THAT(error_of(value), HasSubstr("access_log[0].path: cannot open for appending (No such "
                                         "file or directory): "));
  value.path = "";
  EXPECT_EQ(error_of(value), "access_log[0].path: must not be empty");
  value.text_format = "%NOPE%";
  EXPECT_THAT(error_of(value), StartsWith("access_log[0].log_format: position 0: unknown"));
}

TEST_F(AccessLogTest, ReopenFollowsARotatedFile) {
  const auto log = logger("a.log", "line\n");
  WorkerAccessLog worker(*flusher);
  worker.log(*log, x.facts);
  worker.flush();
  flusher->wait_written();
  ASSERT_EQ(::rename(path("a.log").c_str(), path("a.log.1").c_str()), 0);
  flusher->reopen();
  worker.log(*log, x.facts);
  worker.flush();
  flusher->wait_written();
  EXPECT_EQ(read(path("a.log.1")), "line\n");
  EXPECT_EQ(read(path("a.log")), "line\n");
}

// A reader that does not read stops the flusher; the worker neither blocks nor grows without bound.
TEST_F(AccessLogTest, SlowFileDropsAndCountsInsteadOfBlocking) {
  ASSERT_EQ(::mkfifo(path("a.log").c_str(), 0600), 0);
  const int reader = ::open(path("a.log").c_str(), O_RDONLY | O_NONBLOCK);
  ASSERT_GE(reader, 0);
  const auto log = logger("a.log", "");
  auto worker = std::make_unique<WorkerAccessLog>(*flusher);
  uint64_t num_logged = 0;
  for (; worker->num_dropped() == 0 && num_logged < 1'000'000; ++num_logged) {
    worker->log(*log, x.facts);
  }
  EXPECT_GT(worker->num_dropped(), 0u);
  const size_t line = 200;  // at least
  EXPECT_LT(num_logged, 2 * WorkerAccessLog::kMaxChunks * WorkerAccessLog::kChunkBytes / line);
  std::thread drain([reader] {
    char room[4096];
    // The writing end is open until the log has ended: 0 bytes or EAGAIN then.
    ::fcntl(reader, F_SETFL, 0);
    while (::read(reader, room, sizeof(room)) > 0) {
    }
  });
  worker.reset();
  const_cast<std::shared_ptr<const AccessLogger>&>(log).reset();
  flusher.reset();
  drain.join();
  ::close(reader);
}

TEST_F(AccessLogTest, APipeThatNobodyReadsIsAnErrorNotAWait) {
  ASSERT_EQ(::mkfifo(path("a.log").c_str(), 0600), 0);
  AccessLogValue value;
  value.path = path("a.log");
  EXPECT_THAT(error_of(value), HasSubstr("No such device or address"));
}

TEST_F(AccessLogTest, FailingWritesAreCounted) {
  AccessLogValue value;
  value.path = "/dev/full";
  value.text_format = "x\n";
  const auto log = logger(value);
  WorkerAccessLog worker(*flusher);
  for (int i = 0; i < 3; ++i) {
    worker.log(*log, x.facts);
    worker.flush();
  }
  flusher->wait_written();
  EXPECT_EQ(stats.value("filesystem.write_failed"), 3u);
}

TEST_F(AccessLogTest, ALineLongerThanAChunkIsCutButStaysALine) {
  const std::string path_value(70 * 1024, 'p');
  x.request.path = path_value;
  const auto log = logger("a.log", "%REQ(:PATH)%\n");
  WorkerAccessLog worker(*flusher);
  worker.log(*log, x.facts);
  x.request.path = "/short";
  worker.log(*log, x.facts);
  worker.flush();
  flusher->wait_written();
  const std::string text = read(path("a.log"));
  EXPECT_EQ(num_lines(text), 2u);
  EXPECT_EQ(text.size(), WorkerAccessLog::kChunkBytes + 7);
}

TEST_F(AccessLogTest, LinesOfManyWorkersStayWhole) {
  const auto log = logger("a.log", "%CONNECTION_ID% %REQ(:PATH)%.\n");
  constexpr int kWorkers = 4, kLines = 5000;
  std::vector<std::thread> threads;
  for (int w = 0; w < kWorkers; ++w) {
    threads.emplace_back([&, w] {
      oracle::SampleExchange mine;
      mine.facts.connection_id = static_cast<uint64_t>(w);
      WorkerAccessLog worker(*flusher);
      for (int i = 0; i < kLines; ++i) {
        worker.log(*log, mine.facts);
        if (i % 1000 == 0) worker.flush();
      }
    });
  }
  for (std::thread& t : threads) t.join();
  flusher.reset();
  std::stringstream all(read(path("a.log")));
  std::string line;
  std::vector<int> count(kWorkers);
  while (std::getline(all, line)) {
    ASSERT_THAT(line, testing::EndsWith(" /a/b?x=1&y=two&z."));
    ++count.at(static_cast<size_t>(line[0] - '0'));
  }
  for (const int n : count) EXPECT_EQ(n, kLines);
}

TEST_F(AccessLogTest, AFileIsClosedWhenNobodyLogsToItAnyMore) {
  auto log = logger("a.log", "x\n");
  auto sink = *flusher->open(path("a.log"));
  std::weak_ptr<AccessLogSink> weak = sink;
  sink.reset();
  WorkerAccessLog worker(*flusher);
  worker.log(*log, x.facts);
  log.reset();
  EXPECT_FALSE(weak.expired());  // the line is still on its way
  worker.flush();
  flusher->wait_written();
  worker.flush();
  EXPECT_TRUE(weak.expired());
  EXPECT_EQ(read(path("a.log")), "x\n");
}

}  // namespace
}  // namespace sluice::dataplane
