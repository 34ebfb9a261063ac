#include <cstdio>
#include <memory>
#include <optional>
#include <utility>

#include "admin/json.h"
#include "admin/page.h"
#include "admin/stats_walk.h"
#include "base/text.h"
#include "dataplane/server.h"

namespace sluice::admin {
namespace {

constexpr double kQuantiles[] = {0, 25, 50, 75, 90, 95, 99, 99.5, 99.9, 100};
constexpr size_t kPiece = 16 * 1024;

// At most five digits: that is as exact as the buckets are.
std::string short_number(double value) {
  char text[32];
  std::snprintf(text, sizeof(text), "%.5g", value);
  return text;
}

double shown(std::string_view name, double ns) { return is_in_ms(name) ? ns / 1e6 : ns; }

// One way of writing statistics; a walk goes through texts, then numbers, then histograms, as
// Envoy does.
struct TextForm {
  static constexpr std::string_view kType = kTextType;
  std::string begin() const { return {}; }
  std::string end() const { return {}; }
  void begin_histograms(std::string*) {}

  void add_text(const StatPlace& place, std::string* out) const {
    base::cat_to(*out, place.name, ": \"", place.stat->text, "\"\n");
  }
  void add_number(const StatPlace& place, std::string* out) const {
    base::cat_to(*out, place.name, ": ", place.value(), "\n");
  }
  // The interval's quantiles are not kept: nan.
  void add_histogram(const StatPlace& place, std::string* out) const {
    const base::HistogramSnapshot values = place.histogram();
    base::cat_to(*out, place.name, ":");
    if (values.count() == 0) {
      *out += " No recorded values\n";
      return;
    }
    for (const double q : kQuantiles) {
      base::cat_to(*out, " P", short_number(q), "(nan,",
                   short_number(shown(place.name, values.quantile(q / 100))), ")");
    }
    *out += "\n";
  }
};

struct JsonForm {
  static constexpr std::string_view kType = kJsonType;
  bool first = true;
  bool in_histograms = false;

  std::string begin() const { return "{\"stats\":["; }
  std::string end() const { return in_histograms ? "]}}]}" : "]}"; }
  void separate(std::string* out) {
    if (!std::exchange(first, false)) out->push_back(',');
  }
  void add_text(const StatPlace& place, std::string* out) {
    begin_stat(place, out);
    append_json_text(out, place.stat->text);
    out->push_back('}');
  }
  void add_number(const StatPlace& place, std::string* out) {
    begin_stat(place, out);
    base::cat_to(*out, place.value(), "}");
  }
  void begin_stat(const StatPlace& place, std::string* out) {
    separate(out);
    *out += "{\"name\":";
    append_json_text(out, place.name);
    *out += ",\"value\":";
  }
  void begin_histograms(std::string* out) {
    separate(out);
    *out += "{\"histograms\":{\"supported_quantiles\":[";
    for (const double q : kQuantiles) {
      base::cat_to(*out, q == 0 ? "" : ",", short_number(q));
    }
    *out += "],\"computed_quantiles\":[";
    in_histograms = first = true;
  }
  void add_histogram(const StatPlace& place, std::string* out) {
    separate(out);
    *out += "{\"name\":";
    append_json_text(out, place.name);
    *out += ",\"values\":[";
    const base::HistogramSnapshot values = place.histogram();
    const bool empty = values.count() == 0;
    for (const double q : kQuantiles) {
      base::cat_to(*out, q == 0 ? "" : ",", "{\"cumulative\":",
                   empty ? "null" : short_number(shown(place.name, values.quantile(q / 100))),
                   ",\"interval\":null}");
    }
    *out += "]}";
  }
};

// The body of an answer: keeps the walk.
template <typename Form>
struct StatsBody {
  StatsWalk walk;
  StatsWish wish;
  Form form = {};
  int pass = 0;  // texts, numbers, histograms
  std::vector<StatPlace> run = {};

  bool operator()(std::string* out) {
    const size_t enough = out->size() + kPiece;
    while (out->size() < enough) {
      if (!walk.next(&run)) {
        walk.restart();
        if (++pass == 2 && wish.histograms) form.begin_histograms(out);
        if (pass < 3) return true;
        *out += form.end();
        return false;
      }
      for (const StatPlace& place : run) add(place, out);
    }
    return true;
  }
  void add(const StatPlace& place, std::string* out) {
    const Stat::Kind kind = place.kind();
    const int its_pass = kind == Stat::Kind::kText ? 0 : kind == Stat::Kind::kHistogram ? 2 : 1;
    if (its_pass != pass || !wish.wants(place)) return;
    if (pass == 0) form.add_text(place, out);
    if (pass == 1) form.add_number(place, out);
    if (pass == 2) form.add_histogram(place, out);
  }
};

template <typename Form>
void answer(Site& site, StatsWish wish, const Reply& reply) {
  using Work = StatsBody<Form>;
  const auto work = std::make_shared<Work>(Work{walk_stats(site), std::move(wish)});
  reply({.type = Form::kType, .text = work->form.begin(), .more = [work](std::string* out) {
           return (*work)(out);
         }});
}

bool choose_type(std::string_view type, StatsWish* wish) {
  if (type.empty() || type == "All") return true;
  wish->counters = type == "Counters";
  wish->gauges = type == "Gauges";
  wish->histograms = type == "Histograms";
  wish->texts = type == "TextReadouts";
  return wish->counters || wish->gauges || wish->histograms || wish->texts;
}

}  // namespace

void show_stats(Site& site, const Request& request, const Reply& reply) {
  auto filter = NameFilter::from(request);
  if (!filter.ok()) {
    return reply({.status = 400, .text = base::cat(base::message_of(filter.status()), "\n")});
  }
  StatsWish wish{.filter = *std::move(filter), .used_only = request.has("usedonly")};
  if (!choose_type(request.value("type"), &wish)) {
    return reply({.status = 400, .text = "invalid &type= param"});
  }
  const std::string_view format = request.value("format");
  if (format.empty() || format == "text") return answer<TextForm>(site, std::move(wish), reply);
  if (format == "json") return answer<JsonForm>(site, std::move(wish), reply);
  if (format == "prometheus") return show_prometheus(site, request, reply);
  reply({.status = 400, .text = "usage: /stats?format=(json|prometheus|text)\n"});
}

}  // namespace sluice::admin
