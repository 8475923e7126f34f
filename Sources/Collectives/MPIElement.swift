internal import CMPI

/// A number that MPI knows how to send and to reduce. Only the types below conform: a count in elements, never in
/// bytes, then follows from the buffer.
public protocol MPIElement: BitwiseCopyable, Sendable {
  static var mpiKind: MPIElementKind { get }
}

/// Which of MPI's datatypes an element is.
public enum MPIElementKind: Sendable {
  case float, double, int32, int64, uint64, uint8
}

extension Float: MPIElement { public static var mpiKind: MPIElementKind { .float } }
extension Double: MPIElement { public static var mpiKind: MPIElementKind { .double } }
extension Int32: MPIElement { public static var mpiKind: MPIElementKind { .int32 } }
extension Int64: MPIElement { public static var mpiKind: MPIElementKind { .int64 } }
extension UInt64: MPIElement { public static var mpiKind: MPIElementKind { .uint64 } }
extension UInt8: MPIElement { public static var mpiKind: MPIElementKind { .uint8 } }

/// How an all-reduce combines the ranks' elements.
public enum Reduction: Sendable {
  case sum, min, max
}

extension MPIElementKind {
  var datatype: MPI_Datatype {
    switch self {
    case .float: cmpi_float()
    case .double: cmpi_double()
    case .int32: cmpi_int32()
    case .int64: cmpi_int64()
    case .uint64: cmpi_uint64()
    case .uint8: cmpi_uint8()
    }
  }
}

extension Reduction {
  var operation: MPI_Op {
    switch self {
    case .sum: cmpi_sum()
    case .min: cmpi_min()
    case .max: cmpi_max()
    }
  }
}
