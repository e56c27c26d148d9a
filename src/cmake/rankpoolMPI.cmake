# rankpool::mpi is MPI's C interface as a project sees it that has enabled C++ alone: MPI::MPI_CXX without the C++
# bindings, which MPI 3 has removed and which Open MPI links all the same.
find_package(MPI REQUIRED COMPONENTS CXX)
if(NOT TARGET rankpool::mpi)
  add_library(rankpool::mpi INTERFACE IMPORTED GLOBAL)
  set(rankpool_mpi_libraries ${MPI_CXX_LIBRARIES})
  list(FILTER rankpool_mpi_libraries EXCLUDE REGEX "mpi_cxx")
  separate_arguments(rankpool_mpi_link_options UNIX_COMMAND "${MPI_CXX_LINK_FLAGS}")
  set_target_properties(rankpool::mpi PROPERTIES
    INTERFACE_COMPILE_DEFINITIONS "OMPI_SKIP_MPICXX;MPICH_SKIP_MPICXX"
    INTERFACE_INCLUDE_DIRECTORIES "${MPI_CXX_INCLUDE_DIRS}"
    INTERFACE_LINK_LIBRARIES "${rankpool_mpi_libraries}"
    INTERFACE_LINK_OPTIONS "${rankpool_mpi_link_options}")
  unset(rankpool_mpi_libraries)
  unset(rankpool_mpi_link_options)
endif()
