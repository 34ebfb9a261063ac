#include "xds/validate.h"

#include <gmock/gmock.h>
#include <google/protobuf/compiler/parser.h>
#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor_database.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "envoy/config/cluster/v3/cluster.pb.h"
#include "envoy/config/listener/v3/listener.pb.h"
#include "envoy/config/route/v3/route.pb.h"
#include "envoy/extensions/filters/http/router/v3/router.pb.h"
#include "envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager.pb.h"
#include "validate/validate.pb.h"
#include "xds/validate_rules.h"

namespace sluice::xds {
namespace {

using google::protobuf::Any;
using google::protobuf::Descriptor;
using google::protobuf::DescriptorPool;
using google::protobuf::DynamicMessageFactory;
using google::protobuf::FieldDescriptor;
using google::protobuf::FileDescriptor;
using google::protobuf::FileDescriptorProto;
using google::protobuf::Message;
using google::protobuf::TextFormat;

// Message types that a test declares in the proto language, on top of the generated ones.
class Declared {
 public:
  explicit Declared(std::string_view body) : pool_(DescriptorPool::generated_pool()) {
    const std::string text =
        "syntax = \"proto3\";\n"
        "import \"validate/validate.proto\";\n"
        "import \"google/protobuf/any.proto\";\n"
        "import \"google/protobuf/duration.proto\";\n"
        "import \"google/protobuf/timestamp.proto\";\n"
        "import \"google/protobuf/wrappers.proto\";\n" +
        std::string(body);
    google::protobuf::io::ArrayInputStream input(text.data(), static_cast<int>(text.size()));
    google::protobuf::io::Tokenizer tokenizer(&input, nullptr);
    google::protobuf::compiler::Parser parser;
    FileDescriptorProto file;
    EXPECT_TRUE(parser.Parse(&tokenizer, &file)) << text;
    file.set_name("declared.proto");
    file_ = pool_.BuildFile(file);
    EXPECT_NE(file_, nullptr) << text;
  }

  // A message of type M from its text form.
  std::unique_ptr<Message> make(const std::string& text) {
    const Descriptor* type = file_->FindMessageTypeByName("M");
    std::unique_ptr<Message> message(factory_.GetPrototype(type)->New());
    EXPECT_TRUE(TextFormat::ParseFromString(text, message.get())) << text;
    return message;
  }

 private:
  DescriptorPool pool_;
  const FileDescriptor* file_ = nullptr;
  DynamicMessageFactory factory_;
};

std::string complaint(const Message& message) {
  const absl::Status status = Validator().check(message);
  return std::string(status.message());
}

struct Row {
  std::string_view body;   // of message M, or, where it says so, of the whole file
  std::string_view value;  // in text form
  std::string_view error;  // empty: none
};

void check_rows(const std::vector<Row>& rows) {
  for (const Row& row : rows) {
    SCOPED_TRACE(std::string(row.body) + "  <-  " + std::string(row.value));
    const bool whole_file = row.body.find("message M") != row.body.npos;
    Declared declared(whole_file ? std::string(row.body)
                                 : "message M { " + std::string(row.body) + " }");
    const std::unique_ptr<Message> message = declared.make(std::string(row.value));
    EXPECT_EQ(complaint(*message), row.error);
  }
}

TEST(Validate, Numbers) {
  check_rows({
      {"uint32 x = 1 [(validate.rules).uint32 = {gte: 1}];", "x: 1", ""},
      {"uint32 x = 1 [(validate.rules).uint32 = {gte: 1}];", "", "x: must be >= 1, is 0"},
      {"uint32 x = 1 [(validate.rules).uint32 = {gt: 1}];", "x: 1", "x: must be > 1, is 1"},
      {"uint32 x = 1 [(validate.rules).uint32 = {lt: 9}];", "x: 9", "x: must be < 9, is 9"},
      {"uint32 x = 1 [(validate.rules).uint32 = {lte: 9}];", "x: 9", ""},
      {"uint32 x = 1 [(validate.rules).uint32 = {gte: 2 lte: 4}];", "x: 5",
       "x: must be >= 2 and <= 4, is 5"},
      {"uint32 x = 1 [(validate.rules).uint32 = {gt: 4 lt: 2}];", "x: 1", ""},
      {"uint32 x = 1 [(validate.rules).uint32 = {gt: 4 lt: 2}];", "x: 5", ""},
      {"uint32 x = 1 [(validate.rules).uint32 = {gt: 4 lt: 2}];", "x: 3",
       "x: must be > 4 or < 2, is 3"},
      {"uint32 x = 1 [(validate.rules).uint32 = {const: 7}];", "x: 8", "x: must be 7, is 8"},
      {"uint32 x = 1 [(validate.rules).uint32 = {in: [1, 2]}];", "x: 3",
       "x: must be one of 1, 2, is 3"},
      {"uint32 x = 1 [(validate.rules).uint32 = {not_in: [1, 2]}];", "x: 2", "x: must not be 2"},
      {"uint32 x = 1 [(validate.rules).uint32 = {gte: 5 ignore_empty: true}];", "", ""},
      {"uint32 x = 1 [(validate.rules).uint32 = {gte: 5 ignore_empty: true}];", "x: 4",
       "x: must be >= 5, is 4"},
      {"uint64 x = 1 [(validate.rules).uint64 = {lte: 18446744073709551614}];",
       "x: 18446744073709551615", "x: must be <= 18446744073709551614, is 18446744073709551615"},
      {"int32 x = 1 [(validate.rules).int32 = {gte: -1}];", "x: -2", "x: must be >= -1, is -2"},
      {"int64 x = 1 [(validate.rules).int64 = {lt: 0}];", "x: 0", "x: must be < 0, is 0"},
      {"sint32 x = 1 [(validate.rules).sint32 = {lt: 0}];", "x: 0", "x: must be < 0, is 0"},
      {"sint64 x = 1 [(validate.rules).sint64 = {lt: 0}];", "x: 0", "x: must be < 0, is 0"},
      {"fixed32 x = 1 [(validate.rules).fixed32 = {gt: 0}];", "x: 0", "x: must be > 0, is 0"},
      {"fixed64 x = 1 [(validate.rules).fixed64 = {gt: 0}];", "x: 0", "x: must be > 0, is 0"},
      {"sfixed32 x = 1 [(validate.rules).sfixed32 = {gt: 0}];", "x: 0", "x: must be > 0, is 0"},
      {"sfixed64 x = 1 [(validate.rules).sfixed64 = {gt: 0}];", "x: 0", "x: must be > 0, is 0"},
      {"float x = 1 [(validate.rules).float = {gt: 0.5}];", "x: 0.25", "x: must be > 0.5, is 0.25"},
      {"double x = 1 [(validate.rules).double = {gte: 0 lte: 100}];", "x: nan",
       "x: must be >= 0 and <= 100, is nan"},
      {"bool x = 1 [(validate.rules).bool = {const: true}];", "", "x: must be true"},
      {"bool x = 1 [(validate.rules).bool = {const: false}];", "x: true", "x: must be false"},
  });
}

TEST(Validate, Strings) {
  check_rows({
      {"string x = 1 [(validate.rules).string = {min_len: 1}];", "", "x: must not be empty"},
      {"string x = 1 [(validate.rules).string = {min_len: 2}];", "x: '\\303\\251'",
       "x: must have at least 2 characters, has 1"},
      {"string x = 1 [(validate.rules).string = {min_bytes: 2}];", "x: '\\303\\251'", ""},
      {"string x = 1 [(validate.rules).string = {max_len: 2}];", "x: 'abc'",
       "x: must have at most 2 characters, has 3"},
      {"string x = 1 [(validate.rules).string = {max_bytes: 2}];", "x: 'abc'",
       "x: must have at most 2 bytes, has 3"},
      {"string x = 1 [(validate.rules).string = {len: 2}];", "x: 'abc'",
       "x: must have 2 characters, has 3"},
      {"string x = 1 [(validate.rules).string = {len_bytes: 2}];", "x: 'abc'",
       "x: must have 2 bytes, has 3"},
      {"string x = 1 [(validate.rules).string = {const: 'a'}];", "x: 'b'",
       "x: must be \"a\", is \"b\""},
      {"string x = 1 [(validate.rules).string = {prefix: '/'}];", "x: 'a'",
       "x: must start with \"/\", is \"a\""},
      {"string x = 1 [(validate.rules).string = {suffix: '/'}];", "x: '/a'",
       "x: must end with \"/\", is \"/a\""},
      {"string x = 1 [(validate.rules).string = {contains: 'b'}];", "x: 'a'",
       "x: must contain \"b\", is \"a\""},
      {"string x = 1 [(validate.rules).string = {not_contains: 'b'}];", "x: 'abc'",
       "x: must not contain \"b\", is \"abc\""},
      {"string x = 1 [(validate.rules).string = {pattern: '^a+$'}];", "x: 'aa'", ""},
      {"string x = 1 [(validate.rules).string = {pattern: '^a+$'}];", "x: 'ab'",
       "x: must match ^a+$, is \"ab\""},
      {"string x = 1 [(validate.rules).string = {in: ['a', 'b']}];", "x: 'c'",
       "x: must be one of \"a\", \"b\", is \"c\""},
      {"string x = 1 [(validate.rules).string = {not_in: ['a', 'b']}];", "x: 'b'",
       "x: must not be \"b\""},
      {"string x = 1 [(validate.rules).string = {min_len: 3 ignore_empty: true}];", "", ""},
      {"string x = 1 [(validate.rules).string = {const: 'a'}];", "x: '\\n\"'",
       "x: must be \"a\", is \"\\x0a\\\"\""},
  });
}

TEST(Validate, StringsOfWellKnownForm) {
  check_rows({
      {"string x = 1 [(validate.rules).string = {ip: true}];", "x: '::1'", ""},
      {"string x = 1 [(validate.rules).string = {ip: true}];", "x: '1.2.3'",
       "x: must be an IP address, is \"1.2.3\""},
      {"string x = 1 [(validate.rules).string = {ipv4: true}];", "x: '::1'",
       "x: must be an IPv4 address, is \"::1\""},
      {"string x = 1 [(validate.rules).string = {ipv6: true}];", "x: '1.2.3.4'",
       "x: must be an IPv6 address, is \"1.2.3.4\""},
      {"string x = 1 [(validate.rules).string = {ipv4: true}];", "x: '1.2.3.4\\000'",
       "x: must be an IPv4 address, is \"1.2.3.4\\x00\""},
      {"string x = 1 [(validate.rules).string = {hostname: true}];", "x: 'a-1.example.'", ""},
      {"string x = 1 [(validate.rules).string = {hostname: true}];", "x: 'a..b'",
       "x: must be a host name, is \"a..b\""},
      {"string x = 1 [(validate.rules).string = {hostname: true}];", "x: '-a'",
       "x: must be a host name, is \"-a\""},
      {"string x = 1 [(validate.rules).string = {address: true}];", "x: '10.0.0.1'", ""},
      {"string x = 1 [(validate.rules).string = {address: true}];", "x: 'a b'",
       "x: must be a host name or an IP address, is \"a b\""},
      {"string x = 1 [(validate.rules).string = {uuid: true}];",
       "x: '01234567-89ab-cdef-0123-456789ABCDEF'", ""},
      {"string x = 1 [(validate.rules).string = {uuid: true}];",
       "x: '0123456-789ab-cdef-0123-456789abcdef'",
       "x: must be a UUID, is \"0123456-789ab-cdef-0123-456789abcdef\""},
      {"string x = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_NAME}];",
       "x: ':path'", ""},
      {"string x = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_NAME}];", "x: 'a b'",
       "x: must be a header name, is \"a b\""},
      {"string x = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_NAME}];", "x: ':'",
       "x: must be a header name, is \":\""},
      {"string x = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_NAME "
       "strict: false}];",
       "x: 'a b'", ""},
      {"string x = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_NAME "
       "strict: false}];",
       "x: 'a\\nb'", "x: must be a header name, is \"a\\x0ab\""},
      {"string x = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_VALUE}];",
       "x: 'a\\tb \\377'", ""},
      {"string x = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_VALUE}];",
       "x: 'a\\001'", "x: must be a header value, is \"a\\x01\""},
      {"string x = 1 [(validate.rules).string = {well_known_regex: HTTP_HEADER_VALUE "
       "strict: false}];",
       "x: 'a\\001'", ""},
  });
}

TEST(Validate, Bytes) {
  check_rows({
      {"bytes x = 1 [(validate.rules).bytes = {min_len: 1}];", "", "x: must not be empty"},
      {"bytes x = 1 [(validate.rules).bytes = {len: 2}];", "x: 'abc'",
       "x: must have 2 bytes, has 3"},
      {"bytes x = 1 [(validate.rules).bytes = {max_len: 2}];", "x: 'abc'",
       "x: must have at most 2 bytes, has 3"},
      {"bytes x = 1 [(validate.rules).bytes = {prefix: 'b'}];", "x: 'abc'",
       "x: must start with \"b\", is \"abc\""},
      {"bytes x = 1 [(validate.rules).bytes = {suffix: 'b'}];", "x: 'abc'",
       "x: must end with \"b\", is \"abc\""},
      {"bytes x = 1 [(validate.rules).bytes = {contains: 'x'}];", "x: 'abc'",
       "x: must contain \"x\", is \"abc\""},
      {"bytes x = 1 [(validate.rules).bytes = {pattern: '^b'}];", "x: 'abc'",
       "x: must match ^b, is \"abc\""},
      {"bytes x = 1 [(validate.rules).bytes = {const: 'b'}];", "x: 'c'",
       "x: must be \"b\", is \"c\""},
      {"bytes x = 1 [(validate.rules).bytes = {in: ['b']}];", "x: 'c'",
       "x: must be one of \"b\", is \"c\""},
      {"bytes x = 1 [(validate.rules).bytes = {not_in: ['c']}];", "x: 'c'", "x: must not be \"c\""},
      {"bytes x = 1 [(validate.rules).bytes = {ip: true}];", "x: 'abcd'", ""},
      {"bytes x = 1 [(validate.rules).bytes = {ip: true}];", "x: 'abc'",
       "x: must be the 4 or 16 bytes of an IP address"},
      {"bytes x = 1 [(validate.rules).bytes = {ipv4: true}];", "x: '0123456789abcdef'",
       "x: must be the 4 bytes of an IPv4 address"},
      {"bytes x = 1 [(validate.rules).bytes = {ipv6: true}];", "x: 'abcd'",
       "x: must be the 16 bytes of an IPv6 address"},
      {"bytes x = 1 [(validate.rules).bytes = {min_len: 3 ignore_empty: true}];", "", ""},
  });
}

TEST(Validate, Enums) {
  const std::string file = "enum E { A = 0; B = 1; C = 2; }\nmessage M { E x = 1 ";
  for (const auto& [rule, value, error] : std::vector<Row>{
           {"{defined_only: true}", "x: B", ""},
           {"{defined_only: true}", "x: 7", "x: must be a value of E, is 7"},
           {"{const: 1}", "x: C", "x: must be 1, is 2"},
           {"{in: [1]}", "x: C", "x: must be one of 1, is 2"},
           {"{not_in: [0]}", "", "x: must not be 0"},
       }) {
    SCOPED_TRACE(std::string(rule) + std::string(value));
    Declared declared(file + "[(validate.rules).enum = " + std::string(rule) + "]; }");
    EXPECT_EQ(complaint(*declared.make(std::string(value))), error);
  }
}

TEST(Validate, Durations) {
  const std::string field = "google.protobuf.Duration x = 1 [(validate.rules).duration = ";
  for (const auto& [rule, value, error] : std::vector<Row>{
           {"{required: true}", "", "x: is required"},
           {"{gt: {}}", "", ""},
           {"{gt: {}}", "x: {}", "x: must be > 0, is 0"},
           {"{gt: {}}", "x: {nanos: 1}", ""},
           {"{gte: {nanos: 1000000}}", "x: {nanos: 999999}", "x: must be >= 1ms, is 999.999us"},
           {"{lt: {seconds: 2}}", "x: {seconds: 2}", "x: must be < 2s, is 2s"},
           {"{lte: {seconds: 2}}", "x: {seconds: 2 nanos: 1}", "x: must be <= 2s, is 2.000000001s"},
           {"{const: {seconds: 2}}", "x: {seconds: 1}", "x: must be 2s, is 1s"},
           {"{in: [{seconds: 2}]}", "x: {seconds: 1}", "x: must be one of 2s, is 1s"},
           {"{not_in: [{seconds: 1}]}", "x: {seconds: 1}", "x: must not be 1s"},
           {"{gte: {}}", "x: {seconds: 1 nanos: -1}",
            "x: is no valid duration: seconds 1, nanos -1"},
           {"{gte: {}}", "x: {seconds: 315576000001}",
            "x: is no valid duration: seconds 315576000001, nanos 0"},
       }) {
    SCOPED_TRACE(std::string(rule) + std::string(value));
    Declared declared("message M { " + field + std::string(rule) + "]; }");
    EXPECT_EQ(complaint(*declared.make(std::string(value))), error);
  }
}

TEST(Validate, MessagesAnysTimestampsAndWrappers) {
  check_rows({
      {"google.protobuf.Timestamp x = 1 [(validate.rules).timestamp = {required: true}];", "",
       "x: is required"},
      {"google.protobuf.Timestamp x = 1 [(validate.rules).timestamp = {gte: {seconds: 2}}];",
       "x: {seconds: 1}", "x: must be >= 2s, is 1s"},
      {"google.protobuf.Any x = 1 [(validate.rules).any = {required: true}];", "",
       "x: is required"},
      {"google.protobuf.Any x = 1 [(validate.rules).any = {in: ['a.b/C']}];",
       "x: {type_url: 'a.b/D'}", "x: must be one of \"a.b/C\", is \"a.b/D\""},
      {"google.protobuf.Any x = 1 [(validate.rules).any = {not_in: ['a.b/C']}];",
       "x: {type_url: 'a.b/C'}", "x: must not be \"a.b/C\""},
      {"google.protobuf.UInt32Value x = 1 [(validate.rules).uint32 = {gte: 1}];", "", ""},
      {"google.protobuf.UInt32Value x = 1 [(validate.rules).uint32 = {gte: 1}];", "x: {}",
       "x: must be >= 1, is 0"},
      {"google.protobuf.StringValue x = 1 [(validate.rules).string = {prefix: '/'}];",
       "x: {value: 'a'}", "x: must start with \"/\", is \"a\""},
      {"google.protobuf.BoolValue x = 1 [(validate.rules).message = {required: true}];", "",
       "x: is required"},
      {"message N { uint32 y = 1 [(validate.rules).uint32 = {gt: 0}]; } "
       "N x = 1 [(validate.rules).message = {required: true}];",
       "", "x: is required"},
      {"message N { uint32 y = 1 [(validate.rules).uint32 = {gt: 0}]; } N x = 1;", "", ""},
      {"message N { uint32 y = 1 [(validate.rules).uint32 = {gt: 0}]; } N x = 1;", "x: {}",
       "x.y: must be > 0, is 0"},
      {"message N { uint32 y = 1 [(validate.rules).uint32 = {gt: 0}]; } "
       "N x = 1 [(validate.rules).message = {skip: true}];",
       "x: {}", ""},
      {"message N { option (validate.disabled) = true; "
       "uint32 y = 1 [(validate.rules).uint32 = {gt: 0}]; } N x = 1;",
       "x: {}", ""},
  });
}

TEST(Validate, RepeatedFields) {
  check_rows({
      {"repeated string x = 1 [(validate.rules).repeated = {min_items: 1}];", "",
       "x: must have at least 1 items, has 0"},
      {"repeated string x = 1 [(validate.rules).repeated = {max_items: 1}];", "x: ['a', 'b']",
       "x: must have at most 1 items, has 2"},
      {"repeated string x = 1 [(validate.rules).repeated = {min_items: 2 ignore_empty: true}];", "",
       ""},
      {"repeated string x = 1 [(validate.rules).repeated = {unique: true}];", "x: ['a', 'b', 'a']",
       "x[2]: repeats an earlier item"},
      {"repeated uint32 x = 1 [(validate.rules).repeated = {unique: true}];", "x: [1, 2, 1]",
       "x[2]: repeats an earlier item"},
      {"repeated bool x = 1 [(validate.rules).repeated = {unique: true}];", "x: [true, false]", ""},
      {"repeated string x = 1 [(validate.rules).repeated = {items: {string: {min_len: 1}}}];",
       "x: ['a', '']", "x[1]: must not be empty"},
      {"repeated string x = 1 [(validate.rules).repeated = {items: {string: {pattern: '^a'}}}];",
       "x: ['a', 'b']", "x[1]: must match ^a, is \"b\""},
      {"repeated int64 x = 1 [(validate.rules).repeated = {items: {int64: {gt: 1}}}];", "x: [2, 1]",
       "x[1]: must be > 1, is 1"},
      {"message N { uint32 y = 1 [(validate.rules).uint32 = {gt: 0}]; } repeated N x = 1;",
       "x: {y: 1} x: {}", "x[1].y: must be > 0, is 0"},
      {"message N { uint32 y = 1 [(validate.rules).uint32 = {gt: 0}]; } "
       "repeated N x = 1 [(validate.rules).repeated = {items: {message: {skip: true}}}];",
       "x: {}", ""},
      {"repeated google.protobuf.Duration x = 1 "
       "[(validate.rules).repeated = {items: {duration: {gt: {}}}}];",
       "x: {seconds: 1} x: {}", "x[1]: must be > 0, is 0"},
  });
}

TEST(Validate, Maps) {
  check_rows({
      {"map<string, uint32> x = 1 [(validate.rules).map = {min_pairs: 1}];", "",
       "x: must have at least 1 entries, has 0"},
      {"map<string, uint32> x = 1 [(validate.rules).map = {min_pairs: 1 ignore_empty: true}];", "",
       ""},
      {"map<string, uint32> x = 1 [(validate.rules).map = {max_pairs: 1}];",
       "x: {key: 'a'} x: {key: 'b'}", "x: must have at most 1 entries, has 2"},
      {"map<string, uint32> x = 1 [(validate.rules).map = {keys: {string: {min_len: 1}}}];",
       "x: {key: ''}", "x[\"\"]: key must not be empty"},
      {"map<string, uint32> x = 1 [(validate.rules).map = {keys: {string: {pattern: '^a'}}}];",
       "x: {key: 'b'}", "x[\"b\"]: key must match ^a, is \"b\""},
      {"map<string, uint32> x = 1 [(validate.rules).map = {values: {uint32: {gt: 0}}}];",
       "x: {key: 'a'}", "x[\"a\"]: must be > 0, is 0"},
      {"map<uint32, string> x = 1 [(validate.rules).map = {values: {string: {prefix: '/'}}}];",
       "x: {key: 7 value: 'a'}", "x[7]: must start with \"/\", is \"a\""},
      {"message N { uint32 y = 1 [(validate.rules).uint32 = {gt: 0}]; } map<string, N> x = 1;",
       "x: {key: 'a' value: {}}", "x[\"a\"].y: must be > 0, is 0"},
  });
}

TEST(Validate, Oneofs) {
  check_rows({
      {"oneof o { option (validate.required) = true; string a = 1; string b = 2; }", "",
       "o: one of a, b is required"},
      {"oneof o { option (validate.required) = true; string a = 1; string b = 2; }", "b: ''", ""},
      {"oneof o { string a = 1 [(validate.rules).string = {min_len: 1}]; string b = 2; }", "b: ''",
       ""},
      {"oneof o { string a = 1 [(validate.rules).string = {min_len: 1}]; string b = 2; }", "a: ''",
       "a: must not be empty"},
      {"optional string a = 1 [(validate.rules).string = {min_len: 1}];", "", ""},
      {"optional string a = 1 [(validate.rules).string = {min_len: 1}];", "a: ''",
       "a: must not be empty"},
      {"oneof o { google.protobuf.Duration a = 1 [(validate.rules).duration = {required: true}]; "
       "string b = 2; }",
       "b: 'x'", ""},
      {"message N { oneof o { option (validate.required) = true; string a = 1; } } repeated N x=1;",
       "x: {a: 'b'} x: {}", "x[1].o: one of a is required"},
  });
}

TEST(Validate, RecursiveTypesEnd) {
  check_rows({
      {"message M { uint32 y = 1 [(validate.rules).uint32 = {lt: 9}]; M x = 2; }",
       "x: {x: {x: {y: 9}}}", "x.x.x.y: must be < 9, is 9"},
      {"message N { M m = 1; } message M { uint32 y = 1 [(validate.rules).uint32 = {lt: 9}]; "
       "repeated N n = 2; }",
       "n: {m: {n: {m: {y: 9}}}}", "n[0].m.n[0].m.y: must be < 9, is 9"},
  });
}

TEST(Validate, FirstFaultInFieldOrderIsNamed) {
  check_rows(
      {{"uint32 a = 1 [(validate.rules).uint32 = {gt: 0}]; "
        "uint32 b = 2 [(validate.rules).uint32 = {gt: 0}];",
        "", "a: must be > 0, is 0"}});
}

// The rules of the real API, at the places where mistakes are usual.
TEST(Validate, EnvoyResources) {
  envoy::config::route::v3::RouteConfiguration routes;
  routes.add_virtual_hosts()->set_name("v");
  EXPECT_EQ(complaint(routes), "virtual_hosts[0].domains: must have at least 1 items, has 0");
  routes.mutable_virtual_hosts(0)->add_domains("*");
  routes.mutable_virtual_hosts(0)->add_routes();
  EXPECT_THAT(complaint(routes), testing::StartsWith("virtual_hosts[0].routes[0].action: one of "));
  routes.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_redirect();
  EXPECT_EQ(complaint(routes), "virtual_hosts[0].routes[0].match: is required");
  routes.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_match();
  EXPECT_THAT(complaint(routes),
              testing::StartsWith(
                  "virtual_hosts[0].routes[0].match.path_specifier: one of prefix, path, "));
  routes.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_match()->set_prefix("/");
  routes.mutable_virtual_hosts(0)->mutable_routes(0)->mutable_route()->set_cluster("");
  EXPECT_EQ(complaint(routes), "virtual_hosts[0].routes[0].route.cluster: must not be empty");

  envoy::config::cluster::v3::Cluster cluster;
  cluster.set_name("c");
  cluster.mutable_connect_timeout()->set_seconds(0);
  EXPECT_EQ(complaint(cluster), "connect_timeout: must be > 0, is 0");
}

TEST(Validate, PathContinuesBelowARoot) {
  envoy::config::cluster::v3::Cluster cluster;
  const FieldPath root("clusters[\"c\"]");
  EXPECT_EQ(Validator().check(cluster, &root).message(), "clusters[\"c\"].name: must not be empty");
}

// The whole tree of a listener, through the hook that unpacks what its Anys hold.
absl::Status check_tree(const Validator& validator, const Message& message, const FieldPath* at) {
  const Validator::AnyHook unpack = [&](const Any& any, const FieldPath& here) -> absl::Status {
    const std::string name = any.type_url().substr(any.type_url().rfind('/') + 1);
    const Descriptor* type = DescriptorPool::generated_pool()->FindMessageTypeByName(name);
    if (type == nullptr) return absl::InvalidArgumentError(here.str() + ": unknown type " + name);
    const Message* prototype =
        google::protobuf::MessageFactory::generated_factory()->GetPrototype(type);
    std::unique_ptr<Message> inside(prototype->New());
    if (!inside->ParseFromString(any.value())) return absl::InvalidArgumentError("unreadable");
    return check_tree(validator, *inside, &here);
  };
  return validator.check(message, at, &unpack);
}

TEST(Validate, HookReachesAnysWithTheirPath) {
  envoy::extensions::filters::network::http_connection_manager::v3::HttpConnectionManager manager;
  manager.set_stat_prefix("in");
  manager.mutable_route_config()->add_virtual_hosts()->set_name("v");
  manager.mutable_route_config()->mutable_virtual_hosts(0)->add_domains("*");
  envoy::config::listener::v3::Listener listener;
  listener.set_name("in");
  auto* filter = listener.add_filter_chains()->add_filters();
  filter->set_name("hcm");
  filter->mutable_typed_config()->PackFrom(manager);

  const Validator validator;
  const FieldPath root("listeners[\"in\"]");
  EXPECT_TRUE(check_tree(validator, listener, &root).ok());

  manager.mutable_route_config()->mutable_virtual_hosts(0)->add_domains(std::string(1, '\0'));
  manager.add_http_filters()->mutable_typed_config()->PackFrom(
      envoy::extensions::filters::http::router::v3::Router());
  filter->mutable_typed_config()->PackFrom(manager);
  EXPECT_EQ(validator.check(listener, &root), absl::OkStatus()) << "without the hook it is opaque";
  const absl::Status status = check_tree(validator, listener, &root);
  EXPECT_EQ(status.message(),
            "listeners[\"in\"].filter_chains[0].filters[0].typed_config.route_config."
            "virtual_hosts[0].domains[1]: must be a header value, is \"\\x00\"");

  filter->mutable_typed_config()->set_type_url("type.googleapis.com/no.such.Type");
  EXPECT_EQ(check_tree(validator, listener, &root).message(),
            "listeners[\"in\"].filter_chains[0].filters[0].typed_config: unknown type "
            "no.such.Type");
}

TEST(Validate, HookSeesAnysOfDynamicMessages) {
  Declared declared("message M { google.protobuf.Any x = 1; }");
  const std::unique_ptr<Message> message = declared.make("x: {type_url: 'a/B' value: 'v'}");
  std::string seen;
  const Validator::AnyHook hook = [&](const Any& any, const FieldPath& here) {
    seen = here.str() + " " + any.type_url() + " " + any.value();
    return absl::OkStatus();
  };
  EXPECT_TRUE(Validator().check(*message, nullptr, &hook).ok());
  EXPECT_EQ(seen, "x a/B v");
}

TEST(Validate, ManyThreadsShareOneValidator) {
  const Validator validator;
  envoy::config::cluster::v3::Cluster cluster;
  envoy::config::listener::v3::Listener listener;
  cluster.set_name("c");
  std::vector<std::thread> threads;
  std::vector<int> num_wrong(8);
  for (size_t i = 0; i < num_wrong.size(); ++i) {
    threads.emplace_back([&, i] {
      for (int round = 0; round < 200; ++round) {
        num_wrong[i] += !validator.check(cluster).ok() + !validator.check(listener).ok();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(num_wrong, testing::Each(0));
}

// Every message type of the closure, from the pool of generated files.
std::vector<const Descriptor*> generated_types() {
  std::vector<std::string> names;
  DescriptorPool::internal_generated_database()->FindAllFileNames(&names);
  std::vector<const Descriptor*> types;
  for (const std::string& name : names) {
    const FileDescriptor* file = DescriptorPool::generated_pool()->FindFileByName(name);
    for (int i = 0; i < file->message_type_count(); ++i) types.push_back(file->message_type(i));
  }
  for (size_t i = 0; i < types.size(); ++i) {
    for (int j = 0; j < types[i]->nested_type_count(); ++j) {
      types.push_back(types[i]->nested_type(j));
    }
  }
  return types;
}

TEST(Validate, NoRuleOfTheApiIsLeftUnenforced) {
  size_t num_rules = 0;
  for (const Descriptor* type : generated_types()) {
    for (int i = 0; i < type->oneof_decl_count(); ++i) {
      num_rules += type->oneof_decl(i)->options().GetExtension(validate::required);
    }
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      if (!field->options().HasExtension(validate::rules)) continue;
      ++num_rules;
      const auto& rules = field->options().GetExtension(validate::rules);
      EXPECT_EQ(unenforced_rule(rules), "") << field->full_name();
      const ValueRule rule = ValueRule::compile(rules);
      EXPECT_TRUE(rule.pattern == nullptr || rule.pattern->ok()) << field->full_name();
    }
  }
  EXPECT_GE(num_rules, 889u) << "the closure shrank, or types get lost on linking";
}

TEST(Validate, TypesThatOnlyAnAnyNamesAreLinked) {
  for (const char* name :
       {"envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
        "envoy.extensions.access_loggers.stream.v3.StdoutAccessLog", "xds.type.v3.TypedStruct"}) {
    EXPECT_NE(DescriptorPool::generated_pool()->FindMessageTypeByName(name), nullptr) << name;
  }
}

}  // namespace
}  // namespace sluice::xds
