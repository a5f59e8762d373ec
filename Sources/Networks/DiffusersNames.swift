public import Tensor

extension UNet {
  /// Where each parameter of a ``UNetConfiguration/Grouped`` network is found in the safetensors files of PyTorch's diffusers
  /// (`UNet2DModel`, `UNet2DConditionModel`; checked with 0.42), in the order of ``parameters``.
  ///
  /// Several names mean that their values follow each other: queries, keys and values are one product here. Dense layers
  /// `[O, I]` are 1×1 convolutions `[O, I, 1, 1]`; the elements are the same.
  public var diffusersNames: [(parameter: Parameter, names: [String])] {
    let last = configuration.channels.count - 1
    return parameters.map { parameter in
      var parts = parameter.name.split(separator: ".").map(String.init)
      var theirs: [String] = []
      switch (parts[0], parts.count > 1 ? parts[1] : "") {
      case ("time", let layer):
        return (parameter, ["time_embedding.linear_\(layer.suffix(1)).\(parts[2])"])
      case ("encoder", "input"): return (parameter, ["conv_in.\(parts[2])"])
      case ("decoder", "norm"): return (parameter, ["conv_norm_out.\(Self.element(parts[2]))"])
      case ("decoder", "output"): return (parameter, ["conv_out.\(parts[2])"])
      case ("encoder", "down"): (theirs, parts) = (["down_blocks", parts[2]], Array(parts.dropFirst(3)))
      case ("decoder", "up"):
        // Coarsest first there.
        (theirs, parts) = (["up_blocks", "\(last - (Int(parts[2]) ?? 0))"], Array(parts.dropFirst(3)))
      default:
        // "encoder.middle.0.…" and "encoder.middle.attention.0.…"
        (theirs, parts) = (["mid_block"], Array(parts.dropFirst(2)))
        if parts[0] != "attention" { parts.insert("block", at: 0) }
      }
      let head = theirs.joined(separator: ".")
      switch parts[0] {
      case "down": return (parameter, ["\(head).downsamplers.0.conv.\(parts[1])"])
      case "up": return (parameter, ["\(head).upsamplers.0.conv.\(parts[1])"])
      case "block":
        let element = Self.element(parts[3])
        return (parameter, ["\(head).resnets.\(parts[1]).\(Self.residual[parts[2]] ?? parts[2]).\(element)"])
      default:
        let place = "\(head).attentions.\(parts[1])"
        let layer = parts[2..<parts.count - 1].joined(separator: ".")
        let element = Self.element(parts[parts.count - 1])
        let table = configuration.grouped?.context == 0 ? Self.attention : Self.transformer
        return (parameter, (table[layer] ?? [layer]).map { "\(place).\($0).\(element)" })
      }
    }
  }

  private static func element(_ ours: String) -> String { ours == "gain" ? "weight" : ours }

  private static let residual = ["time": "time_emb_proj", "shortcut": "conv_shortcut"]

  private static let attention = [
    "norm": ["group_norm"], "qkv": ["to_q", "to_k", "to_v"], "output": ["to_out.0"],
  ]

  private static let transformer: [String: [String]] = {
    let block = "transformer_blocks.0"
    return [
      "input": ["proj_in"], "output": ["proj_out"], "norm1": ["\(block).norm1"], "norm2": ["\(block).norm2"],
      "norm3": ["\(block).norm3"], "self.qkv": ["to_q", "to_k", "to_v"].map { "\(block).attn1.\($0)" },
      "self.output": ["\(block).attn1.to_out.0"], "cross.query": ["\(block).attn2.to_q"],
      "cross.context": ["to_k", "to_v"].map { "\(block).attn2.\($0)" }, "cross.output": ["\(block).attn2.to_out.0"],
      "feed.wide": ["\(block).ff.net.0.proj"], "feed.narrow": ["\(block).ff.net.2"],
    ]
  }()
}
