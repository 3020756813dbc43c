from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mnist_sweep import architecture
from mnist_sweep.architecture import Conv, Layer, Pool, count_parameters, ladder, layer_table
from mnist_sweep.config import WIDTHS, RunConfig, parse
from mnist_sweep.training import model

configs = st.fixed_dictionaries(
    {"over_budget": st.just(True), "dropout": st.sampled_from([0.0, 0.03, 0.5])},
    optional={"model": st.sampled_from(["tiny", *(f"step{n}" for n in range(2, 9))])}
    | {name: st.integers(0 if name in ("squeeze", "c6", "head") else 1, 128) for name in WIDTHS}
    | {"pools": st.integers(1, 2), "separable": st.booleans()},
).map(parse)


def trainable(network: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)


@given(configs)
@settings(max_examples=100)
def test_the_count_from_the_layers_is_that_of_the_module(config: RunConfig) -> None:
    assert trainable(model.build(config.network)) == config.parameters


@pytest.mark.parametrize("step", range(1, 9))
def test_the_count_of_every_ladder_module(step: int) -> None:
    network = ladder(step, 0.1)
    assert trainable(model.build(network)) == count_parameters(network)


@given(configs)
@settings(max_examples=15)
def test_the_table_says_what_a_forward_pass_puts_out(config: RunConfig) -> None:
    """Layer by layer; each starts from the shape that the table says came before it."""
    images = torch.rand(2, *architecture.INPUT)
    for row in layer_table(config.network):
        images = model.build((row.layer,))(images).detach()
        assert images.numel() == 2 * torch.Size(row.output).numel()
        images = images.view(2, *row.output)


def test_the_table_of_step_1_says_what_a_forward_pass_puts_out() -> None:
    images = torch.rand(1, *architecture.INPUT)
    for row in layer_table(ladder(1, 0.0)):
        images = model.build((row.layer,))(images).detach().view(1, *row.output)


@pytest.mark.parametrize("step", range(1, 9))
def test_logits(step: int) -> None:
    network = model.build(ladder(step, 0.0)).eval()
    assert network(torch.rand(3, *architecture.INPUT)).shape == (3, 10)


@pytest.mark.parametrize("config", [{}, {"model": "step2"}, {"model": "step6"}, {"c1": 3, "c5": 5}], ids=str)
def test_receptive_fields_as_gradients_show_them(config: dict[str, Any]) -> None:
    """With positive weights and pools that average, an output pixel's gradient is non-zero on all that it sees."""
    spatial: list[Layer] = []
    for row in layer_table(parse(config).network):
        if not isinstance(row.layer, Conv | Pool):
            continue
        spatial.append(Pool("avg", row.layer.size) if isinstance(row.layer, Pool) else row.layer)
        network = model.build(tuple(spatial))
        for parameter in network.parameters():
            torch.nn.init.ones_(parameter)
        images = torch.zeros(1, *architecture.INPUT, requires_grad=True)
        _, height, width = row.output
        network(images).view(row.output)[0, height // 2, width // 2].backward()
        assert images.grad is not None
        seen = images.grad[0, 0].nonzero()
        extent = seen.max(0).values - seen.min(0).values + 1
        assert extent.tolist() == [row.receptive_field] * 2


def test_weights_follow_the_global_seed() -> None:
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in model.build(ladder(8, 0.0)).parameters()])

    with torch.random.fork_rng():
        assert torch.equal(weights(1), weights(1))
        assert not torch.equal(weights(1), weights(2))


def test_what_is_no_layer_is_refused() -> None:
    with pytest.raises(TypeError, match="no module for 'conv'"):
        model.build(("conv",))  # type: ignore[arg-type]
