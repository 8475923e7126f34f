#pragma once

/// How often the calling thread has asked for memory: malloc and its relatives, which this target puts itself before.
long allocations_of_this_thread(void);
