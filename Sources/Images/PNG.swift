import CPNG
import Files
import Foundation

/// Writes an 8-bit RGB image as a PNG file; nothing is left at the path if that fails.
///
/// - Parameter rgb: height x width x 3 bytes, red first.
/// - Throws: `ImageError.unwritable`.
public func writePNG(path: String, width: Int, height: Int, rgb: [UInt8]) throws {
  precondition(rgb.count == width * height * 3, "\(rgb.count) bytes for \(width)x\(height) pixels")
  // libpng would wait for a reader of a FIFO.
  if let kind = FileKind.of(path), kind != .regular {
    throw ImageError.unwritable(path: path, reason: "is \(kind.rawValue); should be a regular file or absent")
  }
  var image = png_image()
  image.version = png_uint_32(PNG_IMAGE_VERSION)
  image.width = png_uint_32(width)
  image.height = png_uint_32(height)
  image.format = png_uint_32(PNG_FORMAT_FLAG_COLOR)
  defer { png_image_free(&image) }
  guard png_image_write_to_file(&image, path, 0, rgb, 0, nil) != 0 else {
    let reason = withUnsafeBytes(of: image.message) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    throw ImageError.unwritable(path: path, reason: reason)
  }
}
