// Open MPI spells its constants as macros over casts that Swift cannot import; each is given back by a function here.
#pragma once
#include <mpi/mpi.h>

static inline MPI_Comm cmpi_comm_world(void) { return MPI_COMM_WORLD; }
