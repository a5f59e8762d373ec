extension UNetConfiguration {
  /// A U-Net for pixels, 64×64, 22 million parameters, 15 GFLOP a pass: what engines are compared on
  /// (`UNet2DModel(block_out_channels=(64, 128, 192, 256), attention_head_dim=32)`, attention at 16×16 and 8×8).
  public static let pixel64: UNetConfiguration = {
    var c = UNetConfiguration()
    (c.fold, c.channels, c.blocks, c.middle, c.embedding) = (1, [64, 128, 192, 256], [2, 2, 2, 2], 2, 256)
    var g = Grouped()
    (g.heads, g.middleHeads) = ([0, 0, 6, 8], 8)
    c.grouped = g
    return c
  }()

  /// Stable Diffusion 1.5's U-Net (arXiv:2112.10752v2): latents of 64×64×4, a context of 77 tokens of 768, 860 million
  /// parameters, 803 GFLOP a pass.
  public static let stableDiffusion15: UNetConfiguration = {
    var c = UNetConfiguration()
    (c.pictureChannels, c.fold, c.channels, c.blocks) = (4, 1, [320, 640, 1280, 1280], [2, 2, 2, 2])
    (c.middle, c.embedding) = (2, 1280)
    var g = Grouped()
    (g.heads, g.middleHeads, g.context) = ([8, 8, 8, 0], 8, 768)
    c.grouped = g
    return c
  }()
}
