// Requests and replies as bytes, for those who can't reach the object themselves.
#pragma once

#include <optional>
#include <vector>

#include <rankpool/detail/shared.hpp>

namespace rankpool::shared {

/// A deadline travels as the time that is left.
std::vector<std::byte> encode(const detail::SharedRequest& request);
std::vector<std::byte> encode(const detail::SharedReply& reply);

/// The payload stays in `bytes`. @returns nothing where these bytes are no request.
std::optional<detail::SharedRequest> decode_request(detail::Bytes bytes);
std::optional<detail::SharedReply> decode_reply(detail::Bytes bytes);

}  // namespace rankpool::shared
