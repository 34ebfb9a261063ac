#include "xds/version.h"

#include <google/protobuf/stubs/common.h>
#include <grpcpp/version_info.h>

#include "absl/base/config.h"
#include "base/text.h"
#include "xds/commit.h"

// From OpenSSL's libcrypto, whose headers are tls/'s alone.
extern "C" const char* OpenSSL_version(int what);

namespace sluice::xds {
namespace {

#ifdef NDEBUG
constexpr std::string_view kBuildType = "RELEASE";
#else
constexpr std::string_view kBuildType = "DEBUG";
#endif

// "OpenSSL 3.0.17 1 Jul 2025" without its date.
std::string_view ssl_version() {
  const std::string_view text = OpenSSL_version(0);
  const size_t space = text.find(' ', text.find(' ') + 1);
  return text.substr(0, space);
}

std::string dotted(int number) {
  return base::cat(number / 1'000'000, ".", number / 1'000 % 1'000, ".", number % 1'000);
}

std::string number_text() {
  const Version v = build_version();
  return base::cat(v.major, ".", v.minor, ".", v.patch);
}

}  // namespace

Version build_version() {
  return {SLUICE_VERSION_MAJOR, SLUICE_VERSION_MINOR, SLUICE_VERSION_PATCH};
}

std::string version_parts() {
  std::string ssl(ssl_version());
  for (char& c : ssl) c = c == ' ' ? '-' : c;
  return base::cat(kCommit, "/", number_text(), "/", kCommitState, "/", kBuildType, "/", ssl);
}

std::string version_text() {
  return base::cat("sluice  version: ", version_parts(), "\nlinked: ", ssl_version(), ", gRPC ",
                   GRPC_CPP_VERSION_STRING, ", protobuf ", dotted(GOOGLE_PROTOBUF_VERSION),
                   ", Boost ", SLUICE_BOOST_VERSION, ", nghttp2 ", SLUICE_NGHTTP2_VERSION,
                   ", Abseil ", ABSL_LTS_RELEASE_VERSION, "\n");
}

}  // namespace sluice::xds
