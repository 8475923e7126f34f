import Files
import XCTest

final class JSONTests: XCTestCase {
  func testValuesSurviveTheWayToTextAndBack() throws {
    let value: JSON = [
      "z": 1, "a": [true, false, .null, [], [:]], "seed": JSON(UInt64.max), "low": JSON(Int64.min),
      "lr": 0.1, "tiny": JSON(5e-324), "big": JSON(1.7976931348623157e308), "third": JSON(1.0 / 3),
      "text": "a \"b\" \\ \n \u{1} é 😀 \u{7F}",
    ]
    XCTAssertEqual(try JSON(parsing: value.description), value)
    XCTAssertEqual(try JSON(parsing: value.pretty), value)
    XCTAssertEqual(try JSON(parsing: value.description).members?.map(\.key), value.members?.map(\.key), "the order")
    XCTAssertEqual(try JSON(parsing: value.description)["seed"]?.uint64, .max)
    XCTAssertEqual(try JSON(parsing: value.description)["third"]?.double, 1.0 / 3)
  }

  func testTextIsWhatItIs() {
    let value: JSON = [
      "b": 1, "a": [1, 2.5, "x"], "n": JSON(Double.nan), "i": JSON(-Float.infinity), "f": JSON(Float(0.1)),
    ]
    XCTAssertEqual(value.description, #"{"b":1,"a":[1,2.5,"x"],"n":null,"i":null,"f":0.1}"#)
    XCTAssertEqual(
      (["a": [1, 2], "o": ["k": true], "l": [["x": 1]], "e": [:]] as JSON).pretty,
      """
      {
        "a": [1, 2],
        "o": {
          "k": true
        },
        "l": [
          {
            "x": 1
          }
        ],
        "e": {}
      }

      """)
  }

  func testEqualityIsOfValues() throws {
    XCTAssertEqual(try JSON(parsing: #"{"a":1,"b":2.0}"#), try JSON(parsing: #" { "b" : 2, "a" : 1.0 } "#))
    XCTAssertNotEqual(try JSON(parsing: "[1,2]"), try JSON(parsing: "[2,1]"))
    XCTAssertNotEqual(try JSON(parsing: #""1""#), try JSON(parsing: "1"))
    XCTAssertEqual(try JSON(parsing: #""\u00e9\ud83d\ude00\/""#), "é😀/")
  }

  func testWhatIsNotJSONIsRefused() {
    let bad = [
      "", " ", "{", "}", "[1,]", "[1 2]", #"{"a":1,}"#, #"{"a" 1}"#, #"{a:1}"#, "01", "-", "1.", ".5", "1e", "+1",
      "nan",
      "tru", "\"", "\"\\x\"", "\"\\u12g4\"", "\"\\ud800\"", "\"\\ud800\\u0041\"", "\"\\udc00\"", "\"a\nb\"", "1 2",
      #"{"a":1,"a":2}"#, "1e999", String(repeating: "[", count: 100_000), "'a'", "//",
    ]
    for text in bad { XCTAssertThrowsError(try JSON(parsing: text), text) }
    XCTAssertThrowsError(try JSON.parse([0x22, 0xFF, 0x22]))
    XCTAssertEqual(
      message { try JSON(parsing: #"{"a":1,"a":2}"#) }, "not valid JSON at byte 10: the name \"a\" is there twice")
  }

  func testLongIntegersAndMinusZero() throws {
    XCTAssertEqual(try JSON(parsing: "-0").double?.sign, .minus)
    XCTAssertEqual(try JSON(parsing: String(repeating: "9", count: 50)).double, 1e50)
    XCTAssertNil(try JSON(parsing: "18446744073709551616").uint64)
    XCTAssertNil(try JSON(parsing: "1.5").int)
  }

  func testEncodings() throws {
    func bytes(_ text: String, _ encoding: String.Encoding) -> [UInt8] { Array(text.data(using: encoding)!) }
    let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
    XCTAssertEqual(try JSON.parse(mark + Array("{\"a\":1}".utf8)), ["a": 1], "a byte order mark is passed over")
    let text = "{\"title\": \"é\"}\n"
    let table: [([UInt8], String)] = [
      (bytes(text, .utf16), "is UTF-16; should be UTF-8"),
      (bytes(text, .utf16LittleEndian), "is UTF-16; should be UTF-8"),
      (bytes(text, .utf16BigEndian), "is UTF-16; should be UTF-8"), (bytes(text, .utf32), "is UTF-32; should be UTF-8"),
      (bytes(text, .utf32LittleEndian), "is UTF-32; should be UTF-8"),
      (bytes(text, .utf32BigEndian), "is UTF-32; should be UTF-8"),
      ([0xFF, 0xFE] + bytes(text, .utf16LittleEndian), "is UTF-16; should be UTF-8"),
      ([0xFE, 0xFF] + bytes(text, .utf16BigEndian), "is UTF-16; should be UTF-8"),
      ([0xFF, 0xFE, 0, 0] + bytes(text, .utf32LittleEndian), "is UTF-32; should be UTF-8"),
      ([], "is empty; should be JSON"), (mark, "is empty; should be JSON"),
      (Array(" \r\n\t".utf8), "is empty; should be JSON"),
      ([0x7F, 0x45, 0x4C, 0x46, 2, 1, 1, 0], "is binary; should be JSON"),
      ([0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A], "is binary; should be JSON"),
      ([0x1F, 0x8B, 0x08, 0x41], "is binary; should be JSON"), ([0, 0, 0, 0], "is binary; should be JSON"),
    ]
    for (bytes, expected) in table { XCTAssertEqual(message { try JSON.parse(bytes) }, expected, "\(bytes.prefix(8))") }
    // Text with a mistake in it is told by its place.
    for (text, place) in [("é", 0), ("{\"a\":1,}", 7), ("hello", 0)] {
      let found = message { try JSON(parsing: text) }
      XCTAssertTrue(found.hasPrefix("not valid JSON at byte \(place): "), found)
    }
    XCTAssertTrue(message { try JSON.parse([0x22, 0xE9, 0x22]) }.contains("a string is not UTF-8"))
  }
}
