#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::test {

// Reads the JSON files of tests/cases: all of the language but for escapes beyond \uXXXX below
// U+0080. Throws std::runtime_error with the offset. For tests only.
struct Json {
  enum class Kind : uint8_t { kNull, kBool, kNumber, kString, kArray, kObject };
  Kind kind = Kind::kNull;
  bool boolean = false;
  double number = 0;
  std::string text;
  std::vector<Json> items;
  std::map<std::string, Json> fields;

  const Json& operator[](const std::string& key) const { return fields.at(key); }
  bool has(const std::string& key) const { return fields.count(key) != 0; }
  bool contains(int n) const {
    for (const Json& item : items) {
      if (static_cast<int>(item.number) == n) return true;
    }
    return false;
  }
};

class JsonReader {
 public:
  explicit JsonReader(std::string_view text) : text_(text) {}
  static Json read_file(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error("cannot open " + path);
    std::stringstream all;
    all << file.rdbuf();
    const std::string text = all.str();
    return JsonReader(text).read();
  }

  Json read() {
    Json value = read_value();
    skip_space();
    if (at_ != text_.size()) fail("text behind the value");
    return value;
  }

 private:
  [[noreturn]] void fail(const char* why) const {
    throw std::runtime_error(std::string(why) + " at " + std::to_string(at_));
  }
  void skip_space() {
    while (at_ < text_.size() && std::string_view(" \t\r\n").find(text_[at_]) != text_.npos) ++at_;
  }
  bool take(char c) {
    skip_space();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool take_word(std::string_view word) {
    if (text_.substr(at_, word.size()) != word) return false;
    at_ += word.size();
    return true;
  }
  Json read_value() {
    skip_space();
    if (at_ == text_.size()) fail("end of text");
    Json value;
    const char c = text_[at_];
    if (c == '{') {
      read_object(&value);
    } else if (c == '[') {
      read_array(&value);
    } else if (c == '"') {
      value.kind = Json::Kind::kString;
      value.text = read_string();
    } else if (take_word("true") || take_word("false")) {
      value.kind = Json::Kind::kBool;
      value.boolean = c == 't';
    } else if (!take_word("null")) {
      value.kind = Json::Kind::kNumber;
      value.number = read_number();
    }
    return value;
  }
  void read_object(Json* value) {
    value->kind = Json::Kind::kObject;
    take('{');
    if (take('}')) return;
    do {
      skip_space();
      std::string key = read_string();
      if (!take(':')) fail("':' expected");
      value->fields.emplace(std::move(key), read_value());
    } while (take(','));
    if (!take('}')) fail("'}' expected");
  }
  void read_array(Json* value) {
    value->kind = Json::Kind::kArray;
    take('[');
    if (take(']')) return;
    do {
      value->items.push_back(read_value());
    } while (take(','));
    if (!take(']')) fail("']' expected");
  }
  std::string read_string() {
    if (!take('"')) fail("string expected");
    std::string out;
    while (at_ < text_.size() && text_[at_] != '"') {
      char c = text_[at_++];
      if (c == '\\') c = read_escape();
      out.push_back(c);
    }
    if (!take('"')) fail("string without end");
    return out;
  }
  char read_escape() {
    if (at_ == text_.size()) fail("end in an escape");
    const char c = text_[at_++];
    switch (c) {
      case 'n':
        return '\n';
      case 'r':
        return '\r';
      case 't':
        return '\t';
      case 'b':
        return '\b';
      case 'f':
        return '\f';
      case 'u': {
        const int code = std::stoi(std::string(text_.substr(at_, 4)), nullptr, 16);
        at_ += 4;
        return code < 0x80 ? static_cast<char>(code) : '?';
      }
      default:
        return c;
    }
  }
  double read_number() {
    size_t used = 0;
    const std::string rest(text_.substr(at_, 32));
    const double number = std::stod(rest, &used);
    at_ += used;
    return number;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace sluice::test
