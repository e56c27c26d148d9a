#include "shared/message.hpp"

#include <algorithm>
#include <cstring>
#include <type_traits>

namespace rankpool::shared {
namespace {

using detail::Bytes;
using detail::SharedAnswer;
using detail::SharedReply;
using detail::SharedRequest;
using detail::SharedVerb;
using Clock = std::chrono::steady_clock;

constexpr std::int64_t for_ever = -1;

struct RequestHead {
  SharedVerb verb{};
  std::int32_t rank = -1;
  detail::SharedHandle object;
  detail::SharedHandle lock;
  std::array<std::uint64_t, 2> words{};
  std::uint64_t task = 0;
  std::int64_t nanoseconds = for_ever;  ///< it may take
};

struct ReplyHead {
  SharedAnswer answer{};
  std::uint32_t reserved = 0;
  std::uint64_t word = 0;
};

template <class Head>
std::vector<std::byte> join(const Head& head, Bytes payload) {
  static_assert(std::is_trivially_copyable_v<Head>);
  std::vector<std::byte> bytes(sizeof head + payload.size());
  std::memcpy(bytes.data(), &head, sizeof head);
  std::ranges::copy(payload, bytes.begin() + sizeof head);
  return bytes;
}

template <class Head>
std::optional<Head> head_of(Bytes bytes) {
  Head head;
  if (bytes.size() < sizeof head) return std::nullopt;
  std::memcpy(&head, bytes.data(), sizeof head);
  return head;
}

}  // namespace

std::vector<std::byte> encode(const SharedRequest& request) {
  RequestHead head{.verb = request.verb,
                   .rank = request.rank,
                   .object = request.object,
                   .lock = request.lock,
                   .words = request.words,
                   .task = request.task};
  if (request.deadline) {
    head.nanoseconds = std::max<std::int64_t>(0, std::chrono::nanoseconds(*request.deadline - Clock::now()).count());
  }
  return join(head, request.payload);
}

std::vector<std::byte> encode(const SharedReply& reply) {
  return join(ReplyHead{.answer = reply.answer, .word = reply.word}, reply.bytes);
}

std::optional<SharedRequest> decode_request(Bytes bytes) {
  const auto head = head_of<RequestHead>(bytes);
  if (!head || head->verb > SharedVerb::why) return std::nullopt;
  SharedRequest request{.verb = head->verb,
                        .object = head->object,
                        .lock = head->lock,
                        .words = head->words,
                        .payload = bytes.subspan(sizeof(RequestHead)),
                        .task = head->task,
                        .rank = head->rank,
                        .deadline = std::nullopt};
  if (head->nanoseconds >= 0) {
    constexpr std::chrono::nanoseconds longest = std::chrono::hours(24 * 365);  // for the clock's sake
    request.deadline = Clock::now() + std::min(std::chrono::nanoseconds(head->nanoseconds), longest);
  }
  return request;
}

std::optional<SharedReply> decode_reply(Bytes bytes) {
  const auto head = head_of<ReplyHead>(bytes);
  if (!head || head->answer > SharedAnswer::failed) return std::nullopt;
  const Bytes payload = bytes.subspan(sizeof(ReplyHead));
  return SharedReply{.answer = head->answer, .word = head->word, .bytes = {payload.begin(), payload.end()}};
}

}  // namespace rankpool::shared
