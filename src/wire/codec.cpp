#include "wire/codec.hpp"

#include <concepts>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

namespace rankpool::wire {
namespace {

enum class Type : std::uint32_t {
  open_call = 1,
  close_call,
  stop_call,
  run_lot,
  retract_lot,
  stop,
  answer,
  results = 64,
  task_failed,
  task_died,
  tasks_returned,
  retracted,
  initializer_failed,
  executors,
  rank_lost,
  broken,
  stopped,
  question,
  executor_gone,
  blocked,
};

// Not a valid length or type, so that a decoder that has lost its place finds out at once.
constexpr std::uint32_t frame_mark = 0x6b6e6172;
// Of a frame whose payload came beside the transport message.
constexpr std::uint32_t frame_mark_beside = 0x6c6f6f70;

struct FrameHeader {
  std::uint32_t type = 0;
  std::uint32_t mark = frame_mark;
  std::uint64_t length = 0;
};
static_assert(sizeof(FrameHeader) == 16 && std::has_unique_object_representations_v<FrameHeader>);

// The one list of each message's fields, in the order they travel; encoder and decoder both walk it.
template <class M>
constexpr Type type_of = Type{};
template <class M>
struct Fields;

// NOLINTBEGIN(bugprone-macro-parentheses): the arguments are names and lists of members
#define RANKPOOL_WIRE(Message, type, ...)       \
  template <>                                   \
  constexpr Type type_of<Message> = Type::type; \
  template <>                                   \
  struct Fields<Message> {                      \
    template <class M>                          \
    static auto of(M& m) {                      \
      return std::tie(__VA_ARGS__);             \
    }                                           \
  };
RANKPOOL_WIRE(OpenCall, open_call, m.call, m.kernel.module, m.kernel.offset, m.kernel.name, m.callable, m.input_stride,
              m.schedule, m.chunksize, m.task_timeout, m.random_numbers)
RANKPOOL_WIRE(CloseCall, close_call, m.call)
RANKPOOL_WIRE(StopCall, stop_call, m.call)
RANKPOOL_WIRE(RunLot, run_lot, m.lot, m.call, m.first, m.count, m.attempt, m.executors, m.total, m.offsets, m.inputs)
RANKPOOL_WIRE(RetractLot, retract_lot, m.lot)
RANKPOOL_WIRE(Stop, stop, m.mode)
RANKPOOL_WIRE(Answer, answer, m.slot, m.number, m.bytes)
RANKPOOL_WIRE(Results, results, m.lot, m.first, m.count, m.nanoseconds, m.encoded)
RANKPOOL_WIRE(TaskFailed, task_failed, m.lot, m.task, m.nanoseconds, m.rank, m.slot, m.image)
RANKPOOL_WIRE(TaskDied, task_died, m.lot, m.task, m.rank, m.host, m.slot, m.pid, m.wait_status, m.time_limit, m.is_ours,
              m.stderr_tail, m.stack)
RANKPOOL_WIRE(TasksReturned, tasks_returned, m.lot, m.first, m.count)
RANKPOOL_WIRE(Retracted, retracted, m.lot)
RANKPOOL_WIRE(InitializerFailed, initializer_failed, m.rank, m.slot, m.image)
RANKPOOL_WIRE(Executors, executors, m.count, m.why)
RANKPOOL_WIRE(Stopped, stopped, m.mode)
RANKPOOL_WIRE(RankLost, rank_lost, m.rank, m.host, m.pid, m.executors)
RANKPOOL_WIRE(Broken, broken, m.reason, m.all_reported)
RANKPOOL_WIRE(Question, question, m.slot, m.number, m.bytes)
RANKPOOL_WIRE(ExecutorGone, executor_gone, m.slot)
RANKPOOL_WIRE(Blocked, blocked, m.executors, m.all, m.why)
#undef RANKPOOL_WIRE
// NOLINTEND(bugprone-macro-parentheses)

class Writer {
 public:
  enum class Payload { within, beside };

  explicit Writer(std::vector<std::byte>& to, Payload payload) : to_(to), payload_(payload) {}

  template <class Number>
  requires std::integral<Number> || std::is_enum_v<Number>
  void put(Number value) { put_raw(std::as_bytes(std::span(&value, 1))); }

  void put(Bytes bytes) {
    put(std::uint64_t{bytes.size()});
    if (payload_ == Payload::within) put_raw(bytes);
  }

  void put(const std::string& text) { put(std::as_bytes(std::span(text))); }

  void put(const detail::ModuleName& name) { put_raw(std::as_bytes(std::span(name))); }

  void put(const Offsets& offsets) {
    put(std::uint64_t{offsets.raw().size()});
    if (offsets.empty()) return;
    const std::uint64_t base = offsets[0];
    if (base == 0) return put_raw(offsets.raw());
    for (std::size_t i = 0; i < offsets.size(); ++i) put(offsets[i] - base);
  }

 private:
  void put_raw(Bytes bytes) { to_.insert(to_.end(), bytes.begin(), bytes.end()); }

  std::vector<std::byte>& to_;
  Payload payload_;
};

class Reader {
 public:
  /// @param beside where the payload is, if not in `from`.
  explicit Reader(Bytes from, std::optional<Bytes> beside) : rest_(from), beside_(beside) {}

  void get(bool& value) {
    std::uint8_t raw = 0;
    get(raw);
    if (raw > 1) throw Malformed("a message has the truth value " + std::to_string(raw));
    value = raw == 1;
  }

  template <std::integral Number>
  void get(Number& value) {
    const Bytes raw = take(sizeof value);
    std::memcpy(&value, raw.data(), sizeof value);
  }

  void get(Schedule& value) { value = enumerator(Schedule::factoring, "schedule"); }
  void get(StopMode& value) { value = enumerator(StopMode::kill, "stop mode"); }
  void get(Bytes& value) { value = beside_ ? take_from_beside() : take_block(); }
  void get(Offsets& value) { value = Offsets(take_block()); }

  void get(std::string& value) {
    const Bytes raw = take_block();
    value.assign(reinterpret_cast<const char*>(raw.data()), raw.size());  // NOLINT: bytes of a text
  }

  void get(detail::ModuleName& name) {
    const Bytes raw = take(name.size());
    std::memcpy(name.data(), raw.data(), name.size());
    if (name.back() != '\0') throw Malformed("a message has the name of a library that has no end");
  }

  void expect_end() const {
    if (!rest_.empty()) throw Malformed("a message is " + std::to_string(rest_.size()) + " bytes too long");
  }

 private:
  Bytes take_block() {
    std::uint64_t size = 0;
    get(size);
    return take(size);
  }

  Bytes take_from_beside() {
    std::uint64_t size = 0;
    get(size);
    if (size != beside_->size()) {
      throw Malformed("a message's payload of " + std::to_string(size) + " bytes came with " +
                      std::to_string(beside_->size()));
    }
    return *beside_;
  }

  Bytes take(std::uint64_t size) {
    if (size > rest_.size()) {
      throw Malformed("a message is truncated: " + std::to_string(size) + " bytes expected, " +
                      std::to_string(rest_.size()) + " left");
    }
    const Bytes taken = rest_.first(size);
    rest_ = rest_.subspan(size);
    return taken;
  }

  template <class Enum>
  Enum enumerator(Enum last, const char* what) {
    std::underlying_type_t<Enum> raw{};
    get(raw);
    if (raw > static_cast<std::underlying_type_t<Enum>>(last)) {
      throw Malformed("a message has " + std::string(what) + " " + std::to_string(raw) + ", which does not exist");
    }
    return static_cast<Enum>(raw);
  }

  Bytes rest_;
  std::optional<Bytes> beside_;
};

void check_range(std::uint64_t first, std::uint64_t count, const char* what) {
  if (count == 0 || first > std::numeric_limits<std::uint64_t>::max() - count) {
    throw Malformed(std::string(what) + " has the nonsensical range of " + std::to_string(count) + " tasks from " +
                    std::to_string(first));
  }
}

void check_time(std::int64_t nanoseconds, const char* what) {
  if (nanoseconds < 0) throw Malformed(std::string(what) + " of " + std::to_string(nanoseconds) + " ns");
}

template <class Message>
void check(const Message&) {}

void check(const OpenCall& call) { check_time(call.task_timeout, "a call has a task_timeout"); }

void check(const TaskDied& died) {
  check_time(died.time_limit, "a task has died of a time limit");
  if (died.stderr_tail.size() > TaskDied::most_tail_bytes) {
    throw Malformed("a death has " + std::to_string(died.stderr_tail.size()) + " bytes of stderr");
  }
  if (died.stack.size() % sizeof(detail::CodeAddress) != 0 ||
      died.stack.size() / sizeof(detail::CodeAddress) > TaskDied::most_stack_frames) {
    throw Malformed("a death has a stack of " + std::to_string(died.stack.size()) + " bytes");
  }
  for (Bytes rest = died.stack; !rest.empty(); rest = rest.subspan(sizeof(detail::CodeAddress))) {
    detail::CodeAddress frame;
    std::memcpy(&frame, rest.data(), sizeof frame);
    if (frame.name.back() != '\0') throw Malformed("a death has the name of a library that has no end");
  }
}

void check(const RunLot& lot) {
  check_range(lot.first, lot.count, "a lot");
  if (lot.attempt == 0) throw Malformed("a lot has attempt 0");
  if (lot.offsets.empty()) return;
  const Offsets& offsets = lot.offsets;
  if (offsets.raw().size() % sizeof(std::uint64_t) != 0 || offsets.size() - 1 != lot.count) {
    throw Malformed("a lot of " + std::to_string(lot.count) + " tasks has " + std::to_string(offsets.raw().size()) +
                    " bytes of offsets");
  }
  for (std::size_t i = 0; i < lot.count; ++i) {
    if (offsets[i] > offsets[i + 1]) throw Malformed("a lot's offsets are out of order");
  }
  if (offsets[0] != 0 || offsets[lot.count] != lot.inputs.size()) {
    throw Malformed("a lot's offsets do not match its " + std::to_string(lot.inputs.size()) + " bytes of input");
  }
}

void check(const Results& results) { check_range(results.first, results.count, "a run of results"); }
void check(const TasksReturned& returned) { check_range(returned.first, returned.count, "a return"); }

template <class Message>
constexpr bool may_be_beside = std::is_same_v<Message, RunLot> || std::is_same_v<Message, Results>;

template <class Message>
void encode_frame(std::vector<std::byte>& to, const Message& message,
                  Writer::Payload payload = Writer::Payload::within) {
  const std::size_t start = to.size();
  // Room for every message's numbers, so that a big payload never makes the buffer grow (and move) twice.
  constexpr std::size_t most_small_fields = 128;
  std::size_t payload_bytes = payload_size(message);
  if constexpr (may_be_beside<Message>) {
    if (payload == Writer::Payload::beside) payload_bytes -= payload_of(message).size();
  }
  const std::size_t needed = start + sizeof(FrameHeader) + most_small_fields + payload_bytes;
  if (payload_bytes > to.capacity()) to.reserve(needed);
  to.resize(start + sizeof(FrameHeader));
  Writer writer(to, payload);
  std::apply([&](const auto&... field) { (writer.put(field), ...); }, Fields<Message>::of(message));
  const FrameHeader header{.type = static_cast<std::uint32_t>(type_of<Message>),
                           .mark = payload == Writer::Payload::within ? frame_mark : frame_mark_beside,
                           .length = to.size() - start - sizeof(FrameHeader)};
  std::memcpy(to.data() + start, &header, sizeof header);
}

template <class Message>
Message decode_body(Bytes body, std::optional<Bytes> beside) {
  Message message;
  Reader reader(body, beside);
  if constexpr (!may_be_beside<Message>) {
    if (beside) throw Malformed("a message came with a payload beside it, though none of its kind does");
  }
  std::apply([&](auto&... field) { (reader.get(field), ...); }, Fields<Message>::of(message));
  reader.expect_end();
  check(message);
  return message;
}

template <class Variant>
struct Decoder;

template <class... Messages>
struct Decoder<std::variant<Messages...>> {
  static std::variant<Messages...> decode(Bytes& rest, Bytes beside) {
    FrameHeader header;
    if (rest.size() < sizeof header) throw Malformed("a frame's header is truncated");
    std::memcpy(&header, rest.data(), sizeof header);
    const bool is_beside = header.mark == frame_mark_beside;
    if (header.mark != frame_mark && !is_beside) throw Malformed("a frame without its mark");
    if (header.length > rest.size() - sizeof header) throw Malformed("a frame is truncated");
    const Bytes body = rest.subspan(sizeof header, header.length);
    std::variant<Messages...> decoded;
    const bool known =
        (decode_if<Messages>(header, body, is_beside ? std::optional(beside) : std::nullopt, decoded) || ...);
    if (!known) throw Malformed("a frame has type " + std::to_string(header.type) + ", which is not expected here");
    rest = rest.subspan(sizeof header + header.length);
    return decoded;
  }

 private:
  template <class Message>
  static bool decode_if(const FrameHeader& header, Bytes body, std::optional<Bytes> beside,
                        std::variant<Messages...>& decoded) {
    if (header.type != static_cast<std::uint32_t>(type_of<Message>)) return false;
    decoded = decode_body<Message>(body, beside);
    return true;
  }
};

}  // namespace

void encode(std::vector<std::byte>& to, const OpenCall& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const CloseCall& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const StopCall& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const RunLot& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const RetractLot& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const Answer& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const Stop& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const Results& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const TaskFailed& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const TaskDied& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const TasksReturned& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const Retracted& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const InitializerFailed& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const Executors& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const RankLost& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const Question& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const ExecutorGone& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const Blocked& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const Broken& message) { encode_frame(to, message); }
void encode(std::vector<std::byte>& to, const Stopped& message) { encode_frame(to, message); }

void encode_but_payload(std::vector<std::byte>& to, const RunLot& message) {
  encode_frame(to, message, Writer::Payload::beside);
}

void encode_but_payload(std::vector<std::byte>& to, const Results& message) {
  encode_frame(to, message, Writer::Payload::beside);
}

ToLeader decode_for_leader(Bytes& rest, Bytes beside) { return Decoder<ToLeader>::decode(rest, beside); }
ToMaster decode_for_master(Bytes& rest, Bytes beside) { return Decoder<ToMaster>::decode(rest, beside); }

}  // namespace rankpool::wire
