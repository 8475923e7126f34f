import Collectives
import Files
import Foundation
import Studies
import Training

// Before anything opens a file.
StandardStreams.prepare()
let arguments = Array(CommandLine.arguments.dropFirst())
// A signal that comes while ranks are still starting is noted.
if LaunchPlace.trains(arguments) { StopSignals.install() }
let place = LaunchPlace(environment: ProcessInfo.processInfo.environment)

// Read as raw bytes: files in /proc have no size.
let cpuinfo = (try? FileHandle(forReadingAtPath: "/proc/cpuinfo")?.readToEnd()) ?? nil
let missing = missingInstructions(cpuinfo: String(decoding: cpuinfo ?? Data(), as: UTF8.self))
if !missing.isEmpty {
  place.stopHost(complaint(of: missing, host: ProcessInfo.processInfo.hostName), status: .usage)
}

do {
  try checkArguments()
  switch try place.command(arguments) {
  case .train(let request): try train(request, on: place)
  case .study(let request): try request.run(on: place)
  case .report(let path): if place.rank == 0 { try StandardStreams.print(try StudyReport.text(of: path)) }
  case .bench(let request): try request.run()
  case .preview(let request): if place.rank == 0 { try request.run() }
  case .help(let topic):
    if place.rank == 0 {
      try StandardStreams.print(HelpText.text(on: topic, columns: TextWidth.standardOutput()))
    }
  case .version: if place.rank == 0 { try StandardStreams.print("byol-dist \(byolDistVersion)") }
  }
} catch let error as OutputError where error.isBrokenPipe {
  // The reader has gone and wants no more, nor a message.
  place.stop(nil, status: .failed)
} catch let error as CollectiveError {
  try Communicator.start().abort(reason: "\(error)", status: ExitStatus.failed.rawValue)
} catch {
  place.stop("\(error)", status: ExitStatus(for: error))
}
