import torch

from benchmark.pretraining.augment import cropped, flipped, jittered


def test_flips_mirror_some_images_and_leave_the_others():
    torch.manual_seed(0)
    images = torch.rand(64, 3, 8, 8)
    result = flipped(images)
    mirrored = (result == images.flip(3)).flatten(1).all(1)
    same = (result == images).flatten(1).all(1)
    assert (mirrored ^ same).all() and 16 < mirrored.sum() < 48


def test_a_crop_of_the_whole_area_is_the_image_or_its_mirror():
    torch.manual_seed(0)
    images = torch.rand(16, 3, 8, 8)
    result = cropped(images, 1.0)
    best = torch.minimum((result - images).abs().amax((1, 2, 3)), (result - images.flip(3)).abs().amax((1, 2, 3)))
    assert best.max() < 1e-5


def test_crops_stay_within_the_image_and_enlarge_it():
    torch.manual_seed(0)
    ramp = torch.linspace(0, 1, 48).expand(32, 3, 48, 48)
    result = cropped(ramp, 0.25)
    spans = result.amax((1, 2, 3)) - result.amin((1, 2, 3))
    assert result.min() >= 0 and result.max() <= 1
    assert spans.min() > 0.45 and spans.std() > 0.05


def test_no_strength_changes_nothing_and_strength_differs_by_image():
    torch.manual_seed(0)
    images = torch.rand(8, 3, 8, 8) * 2 - 1
    torch.testing.assert_close(jittered(images, 0.0), images)
    change = (jittered(images, 0.3) - images).abs().mean((1, 2, 3))
    assert change.min() > 0 and change.std() > 0
