// How the end of the job that the pool is part of comes, step by step.
#pragma once

#include <cstdint>

namespace rankpool::master {

enum class Ending : std::uint8_t {
  far,
  no_new_tasks,  ///< what runs is let finish
  no_results,    ///< tasks that run are asked to stop: what they still give does not count
  at_once        ///< calls end
};

}  // namespace rankpool::master
