"""MMH-DiT: a flow-matching diffusion transformer whose blocks differ in their number of heads."""
