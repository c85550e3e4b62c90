import pytest
import torch
from PIL import Image

from benchmark.pretraining.data import normalised

NAMES = ("small-clip", "small-vit", "small-ssl", "small-bert")


def as_images(tensor):
    return [Image.fromarray(image.permute(1, 2, 0).numpy()) for image in tensor]


def test_the_loaded_clip_gives_what_the_trained_model_gives(trained, tower, data):
    pair, _ = trained("small-clip")
    images, captions = data.images[:5], [*data.captions[:3], "", "unheard-of \N{ROCKET} words"]
    ids = pair.tokenizer(captions, padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    visual = pair.model.visual
    with torch.no_grad():
        seen = tower("small-clip-image").run(as_images(images))[1].pooled
        torch.testing.assert_close(
            visual.ln_post(seen) @ visual.proj, pair.model.encode_image(normalised(images)), atol=1e-4, rtol=1e-4
        )
        read = tower("small-clip-text").run(captions)[1].pooled
        expected = pair.model.encode_text(ids)
        torch.testing.assert_close(pair.model.ln_final(read) @ pair.model.text_projection, expected)


@pytest.mark.parametrize("name", ["small-vit", "small-ssl"])
def test_the_loaded_vision_transformer_gives_what_the_trained_model_gives(trained, tower, data, name):
    vision, _ = trained(name)
    images = data.images[:5]
    with torch.no_grad():
        seen = tower(name).run(as_images(images))[1].pooled
        torch.testing.assert_close(vision.model.norm(seen), vision.cls(normalised(images)), atol=1e-4, rtol=1e-4)


def test_the_loaded_bert_gives_what_the_trained_model_gives(trained, tower, data):
    language, _ = trained("small-bert")
    captions = [*data.captions[:3], ""]
    encoded = language.tokenizer(captions, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden = language.model.bert(encoded["input_ids"], encoded["attention_mask"]).last_hidden_state
    torch.testing.assert_close(tower("small-bert").run(captions)[1].pooled, hidden[:, 0])


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_weights(trained, recipes, data, name):
    torch.manual_seed(0)
    again = recipes[name].train(data, epochs=2, progress=False).model.state_dict()
    first = trained(name)[0].model.state_dict()
    assert first.keys() == again.keys() and all(torch.equal(first[key], again[key]) for key in first)
    torch.manual_seed(1)
    other = recipes[name].train(data, epochs=1, progress=False).model.state_dict()
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_text_cut_to_the_longest_caption_is_encoded_as_at_full_length(trained, data):
    from benchmark.pretraining.contrastive import encode_text

    pair, _ = trained("small-clip")
    ids = pair.tokenizer(data.captions[:8], padding="max_length", truncation=True, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        torch.testing.assert_close(encode_text(pair.model, ids), pair.model.encode_text(ids))


def test_the_contrastive_loss_of_views_is_smallest_where_views_agree():
    from benchmark.pretraining.selfsupervised import nt_xent

    codes = torch.eye(6)
    agreeing = nt_xent(torch.cat([codes, codes]), 0.1)
    assert agreeing < 0.01 < nt_xent(torch.cat([codes, codes.flip(0)]), 0.1)
    # Equation 1 of SimCLR for one pair among four unit vectors at right angles but for the pair itself.
    two = nt_xent(torch.cat([codes[:2], codes[:2]]), 1.0)
    assert two.item() == pytest.approx(-1 + torch.tensor([1.0, 0.0, 0.0]).logsumexp(0).item())


def test_only_words_are_masked_and_only_they_are_predicted(trained, data):
    from benchmark.pretraining.masked_language import IGNORED, mask_words

    tokenizer = trained("small-bert")[0].tokenizer
    ids = tokenizer(data.captions * 20, padding=True, return_tensors="pt")["input_ids"]
    words = ~torch.isin(ids, torch.tensor(tokenizer.all_special_ids))
    torch.manual_seed(0)
    inputs, labels = mask_words(ids, words, 0.15, tokenizer)
    chosen = labels != IGNORED
    assert torch.equal(inputs[~chosen], ids[~chosen]) and torch.equal(labels[chosen], ids[chosen])
    assert not chosen[~words].any()
    assert (chosen.sum() / words.sum()).item() == pytest.approx(0.15, abs=0.01)
    assert (inputs[chosen] == tokenizer.mask_token_id).float().mean().item() == pytest.approx(0.8, abs=0.03)
    assert not torch.isin(inputs[words & ~(inputs == tokenizer.mask_token_id)], torch.arange(5)).any()


def test_the_bag_of_words_counts_each_word_once_and_no_special_token():
    from benchmark.pretraining.masked_language import bag_of_words

    ids = torch.tensor([[2, 7, 7, 8, 3], [2, 3, 0, 0, 0]])
    bag = bag_of_words(ids, ids > 4, 10)
    assert bag[0, 7] == bag[0, 8] == 0.5 and bag.sum(1).tolist() == [1.0, 0.0]
