/// @file
/// Visibility of the library's symbols: hidden unless marked RANKPOOL_API.
#pragma once

#define RANKPOOL_API __attribute__((visibility("default")))
