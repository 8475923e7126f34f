import COpenBLAS

/// Gives OpenBLAS, which fits the probe, a rank's threads and no more: by itself it takes every core in every rank.
public func setOpenBLASThreads(_ threads: Int) { openblas_set_num_threads(Int32(threads)) }
