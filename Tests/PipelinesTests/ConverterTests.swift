import Adapters
import Imaging
import Networks
import Pipelines
import Registry
import Tensor
import TestSupport
import Testing

@Suite("Converting one picture") struct ConverterTests {
  private func convert(
    _ picture: Picture, sees: ConditionEncoderConfiguration.Sees = .conditionAndNoisy, steps: Int = 2, seed: UInt64 = 0,
    region: Int = 256, overlap: Int = 32, digest: [UInt8] = [1]
  ) async throws -> (picture: Picture, plan: RegionPlan) {
    let adapter = try Toy.adapter(sees: sees)
    return try await Compute.run { () throws in
      var options = Converter.Options()
      (options.steps, options.seed, options.precision) = (steps, seed, .f32)
      (options.region, options.overlap) = (region, overlap)
      let converter = try Converter(adapter, plugin: try Toy.plugin(), options: options)
      return (
        try converter.convert(picture, digest: digest), try converter.plan(width: picture.width, height: picture.height)
      )
    }
  }

  @Test(
    "odd and tiny pictures come out four times larger",
    arguments: [(1, 1), (1, 7), (3, 2), (17, 33), (97, 97), (5, 140)])
  func sizes(width: Int, height: Int) async throws {
    let input = Pictures.make(.photo, width: width, height: height)
    let output = try await convert(input).picture
    #expect(output.width == 4 * width && output.height == 4 * height)
    #expect(output.pixels.allSatisfy { (0...1).contains($0) })
    #expect(Set(output.pixels).count > 4, "something was made")
  }

  @Test("every size up to 97 × 97 comes out four times larger, whatever the regions", arguments: 0..<16)
  func anySize(number: Int) async throws {
    // Coprime strides: sizes are spread over both sides, odd ones and single lines among them.
    let (width, height) = (1 + number * 37 % 97, 1 + number * 59 % 97)
    let input = Pictures.make(.photo, width: width, height: height, seed: UInt32(number + 1))
    let output = try await convert(input, steps: 1, region: 64 + 32 * (number % 3), overlap: 16).picture
    #expect(output.width == 4 * width && output.height == 4 * height)
    #expect(output.pixels.allSatisfy { (0...1).contains($0) })
  }

  @Test("the same picture gives the same values again; another seed, digest or number of steps gives others")
  func repeatable() async throws {
    let input = Pictures.make(.photo, width: 30, height: 21)
    let first = try await convert(input).picture
    #expect(try await convert(input).picture == first)
    #expect(try await convert(input, seed: 1).picture != first)
    #expect(try await convert(input, digest: [2]).picture != first)
    #expect(try await convert(input, steps: 1).picture != first)
  }

  /// How far regions show: in the result, and in its difference from the result of one region, where nothing hides them.
  private func seams(_ kind: Pictures.Kind, overlap: Int) async throws -> (result: Seams, difference: Seams) {
    let input = Pictures.make(kind, width: 75, height: 60)
    let (cut, plan) = try await convert(input, region: 64, overlap: overlap)
    #expect(plan.columns.count >= 5 && plan.rows.count >= 4)
    let (whole, one) = try await convert(input, region: 1024)
    #expect(one.count == 1)
    let difference = zip(cut.pixels, whole.pixels).map { $0 - $1 }
    return (
      Seams(cut.pixels, width: cut.width, plan: plan, granularity: 8),
      Seams(difference, width: cut.width, plan: plan, granularity: 8)
    )
  }

  @Test("regions leave no border", arguments: Pictures.Kind.allCases)
  func noBorder(_ kind: Pictures.Kind) async throws {
    let ratio = try await seams(kind, overlap: 16)
    #expect(ratio.result.oneCellInside <= 1.1 && ratio.difference.oneCellInside <= 1.1, "\(ratio)")
    // In the difference the network's own grid cancels, so that the very next pixels can be compared.
    #expect(ratio.difference.onePixelInside <= 1.1 && ratio.result.borders >= 12, "\(ratio)")
  }

  @Test("regions that do not overlap do leave borders: the measure sees them")
  func bordersAreSeen() async throws {
    let ratio = try await seams(.gradient, overlap: 0)
    #expect(ratio.difference.oneCellInside > 1.3, "\(ratio)")
  }

  @Test("an encoder that sees the condition alone is asked once for a region, with the same result")
  func conditionAlone() async throws {
    let input = Pictures.make(.photo, width: 40, height: 30)
    let (one, _) = try await convert(input, sees: .condition, steps: 4, region: 64, overlap: 16)
    #expect(one.width == 160 && one.height == 120)
    #expect(try await convert(input, sees: .condition, steps: 4, region: 64, overlap: 16).picture == one)
    #expect(try await convert(input, steps: 4, region: 64, overlap: 16).picture != one)
  }

  @Test("alpha is enlarged beside the colours; depth, profile and metadata are kept")
  func carried() async throws {
    var input = Pictures.make(.gradient, width: 12, height: 9)
    input.alpha = (0..<(12 * 9)).map { $0 % 12 < 6 ? 1 : 0 }
    input.bitDepth = .sixteen
    input.iccProfile = [1, 2, 3]
    input.metadata = Picture.Metadata(exif: [4], xmp: [5])
    let output = try await convert(input).picture
    let alpha = try #require(output.alpha)
    #expect(alpha[0] > 0.999 && alpha[47] == 0 && alpha.allSatisfy { (0...1).contains($0) })
    #expect(output.bitDepth == .sixteen && output.iccProfile == [1, 2, 3] && output.metadata == input.metadata)
  }

  @Test("a stop asked for between regions ends the conversion", arguments: [0, 1, 5])
  func stops(after regions: Int) async throws {
    let adapter = try Toy.adapter()
    await #expect(throws: CancellationError.self) {
      try await Compute.run { () throws in
        var options = Converter.Options()
        (options.precision, options.region, options.overlap) = (.f32, 64, 16)
        var done = 0
        _ = try Converter(adapter, plugin: try Toy.plugin(), options: options).convert(
          Pictures.make(.photo, width: 40, height: 40), digest: [],
          progress: { count, all in
            done = count
            #expect(count <= all)
          }, shouldStop: { done >= regions })
      }
    }
  }

  @Test("a number of steps that makes no sense is refused", arguments: [0, -1, 1001])
  func badSteps(steps: Int) async throws {
    let error = await #expect(throws: ConversionError.self) {
      try await convert(Pictures.make(.flat, width: 4, height: 4), steps: steps)
    }
    #expect(error?.code == .options)
  }
}
