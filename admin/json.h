#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>

namespace sluice::admin {

// Json writes JSON piece by piece, indented by one space a level as Envoy's is. What was written so
// far is taken out with take(), while objects and lists are still open. Keys and texts are escaped;
// bytes that are not UTF-8 become U+FFFD. Main only.
class Json {
 public:
  Json& open_object() { return open('{'); }
  Json& open_list() { return open('['); }
  Json& close_object() { return close('}'); }
  Json& close_list() { return close(']'); }
  // The name of what comes next, in an object.
  Json& key(std::string_view name);
  Json& text(std::string_view value);
  Json& number(double value);  // null where it is not finite
  template <typename N>
    requires std::is_integral_v<N>
  Json& number(N value) {
    return raw(std::to_string(value));
  }
  Json& boolean(bool value) { return raw(value ? "true" : "false"); }
  Json& null() { return raw("null"); }

  std::string take() {
    std::string out;
    out.swap(out_);
    return out;
  }

 private:
  Json& open(char bracket);
  Json& close(char bracket);
  Json& raw(std::string_view value);
  void begin_value();
  void new_line();

  std::string out_;
  int depth_ = 0;
  bool first_ = true;  // nothing in this object or list yet
  bool has_key_ = false;
};

// `text` between quotation marks.
void append_json_text(std::string* out, std::string_view text);

}  // namespace sluice::admin
