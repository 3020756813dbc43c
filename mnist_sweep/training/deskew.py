"""Deskew digits: remove the slant of a handwritten digit by a horizontal shear.

The slant is estimated from the image moments, as in the deskewed MNIST of LeCun et al. 1998 (Gradient-based learning
applied to document recognition). The step has no trainable parameters and uses nothing but the image itself.
"""

import torch
import torch.nn.functional as F

CHUNK = 250
"""Images that are sheared at once: their temporary tensors stay in the cache."""


def deskew(images: torch.Tensor, share: float) -> torch.Tensor:
    """Remove `share` of each digit's slant.

    A row is shifted in proportion to its distance from the centre of mass, with linear interpolation. The centre of
    mass stays where it is.

    Args:
        images: uint8, N x 28 x 28, on the CPU.
        share: 0 (as they are) … 1 (then the correlation of a pixel's column with its row is 0).

    Returns:
        uint8, N x 28 x 28.
    """
    if share == 0:
        return images
    deskewed = torch.empty_like(images)
    for chunk, place in zip(images.split(CHUNK), deskewed.split(CHUNK), strict=True):
        place.copy_(_shear(chunk.float(), share))
    return deskewed


def _shear(images: torch.Tensor, share: float) -> torch.Tensor:
    places = torch.arange(images.shape[-1], dtype=torch.float32)
    mass = images.sum((1, 2)).clamp(min=1)  # an empty image has no slant
    rows = places - (images.sum(2) @ places / mass).unsqueeze(1)
    columns = places - (images.sum(1) @ places / mass).unsqueeze(1)
    covariance = (rows * (images @ columns.unsqueeze(2)).squeeze(2)).sum(1)
    variance = (rows.square() * images.sum(2)).sum(1).clamp(min=1)
    shift = (share * covariance / variance).view(-1, 1, 1) * rows.unsqueeze(2)  # pixels, one for each row
    whole = shift.floor()
    padded = F.pad(images, (1, 1))  # ink outside of the image is 0
    last = padded.shape[-1] - 1
    index = whole.long() + torch.arange(1, last)
    near, far = padded.gather(2, index.clamp(0, last)), padded.gather(2, (index + 1).clamp(0, last))
    return torch.lerp(near, far, shift - whole).round()
