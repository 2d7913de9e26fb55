"""Names for the tensors that cross the borders between rooms."""

from jaxtyping import Bool, Float, Int
from torch import Tensor

Images = Float[Tensor, "batch channels height width"]
"""Raw pixels in [0, 1]; normalisation belongs to the model."""

Background = Float[Tensor, "background channels height width"]
"""Raw pixels of the training images that an explainer compares with."""

Mask = Bool[Tensor, "height width"]
"""True where a trigger touches the image."""

Logits = Float[Tensor, "batch classes"]
Features = Float[Tensor, "batch feature_channels feature_height feature_width"]
Maps = Float[Tensor, "batch map_height map_width"]
"""Saliency maps at the explainer's own resolution, raw: neither normalised nor upsampled."""

ColumnMaps = Float[Tensor, "batch columns map_height map_width"]
"""Likewise, several of each image: one for each class, or one in all."""

Classes = Int[Tensor, " batch"]
Rows = Int[Tensor, " rows"]
PerRow = Float[Tensor, " rows"]
