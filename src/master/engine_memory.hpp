// The channel's memory under the engine's mutex, for pieces that are filled without it.
#pragma once

#include <mutex>

#include "master/engine.hpp"

namespace rankpool::master {

class Engine::Memory final : public PieceMemory {
 public:
  explicit Memory(Engine& engine) : engine_(engine) {}
  std::uint64_t allocate(std::size_t bytes) override {
    const std::lock_guard lock(engine_.seat_.mutex());
    return engine_.local_->allocate(bytes);
  }
  void release(std::uint64_t offset) override {
    const std::lock_guard lock(engine_.seat_.mutex());
    engine_.local_->release(offset);
  }
  std::byte* at(std::uint64_t offset) override { return engine_.local_->at(offset); }

 private:
  Engine& engine_;
};

}  // namespace rankpool::master
