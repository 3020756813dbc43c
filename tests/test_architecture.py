import pytest

from mnist_sweep.architecture import (
    BatchNorm,
    Conv,
    Dropout,
    Pool,
    ReLU,
    count_parameters,
    describe,
    ladder,
    largest_layers,
    layer_table,
    tiny,
)

LADDER = {1: 6_379_786, 2: 8_172, 3: 8_328, 4: 4_708, 5: 4_708, 6: 6_124, 7: 6_124, 8: 6_720}
STEP8 = {"c1": 8, "c2": 16, "squeeze": 8, "c3": 10, "c4": 16, "c5": 18, "head": 16, "pools": 1}


@pytest.mark.parametrize(("step", "parameters"), LADDER.items())
def test_ladder_has_the_counts_of_the_study(step: int, parameters: int) -> None:
    assert count_parameters(ladder(step, 0.1)) == parameters
    assert sum(row.parameters for row in layer_table(ladder(step, 0.1))) == parameters


@pytest.mark.parametrize("step", LADDER)
def test_ladder_ends_in_ten_logits_that_see_the_whole_digit(step: int) -> None:
    last = layer_table(ladder(step, 0.0))[-1]
    assert last.output == (10, 1, 1)
    assert last.receptive_field == (40 if step == 1 else 28)


def test_receptive_fields_along_step_8() -> None:
    fields = [row.receptive_field for row in layer_table(ladder(8, 0.0)) if isinstance(row.layer, Conv | Pool)]
    #                 C8 C16 pool P8 C10 C16 C18 pool P16 P10
    assert fields == [3, 5, 6, 6, 10, 14, 18, 28, 28, 28]


def test_output_shapes_along_step_1() -> None:
    shapes = [row.output for row in layer_table(ladder(1, 0.0)) if isinstance(row.layer, Conv | Pool)]
    assert shapes == [
        (32, 28, 28),
        (64, 28, 28),
        (64, 14, 14),
        (128, 14, 14),
        (256, 14, 14),
        (256, 7, 7),
        (512, 5, 5),
        (1024, 3, 3),
        (10, 1, 1),
    ]


def test_step_8_is_a_point_of_the_searchable_network() -> None:
    assert tiny(**STEP8, dropout=0.03) == ladder(8, 0.03)


def test_a_separable_network_has_the_shapes_of_the_plain_one_and_fewer_parameters() -> None:
    plain, separable = tiny(**STEP8, dropout=0.0), tiny(**STEP8, separable=True, dropout=0.0)
    # one filter per channel, 8 x 9, and a matrix, 8 x 16, instead of 16 filters over 8 channels
    assert separable[3:5] == (Conv(8, 8, groups=8), Conv(8, 16, 1))
    assert count_parameters(separable[3:5]) == 72 + 128
    assert describe(separable[3]) == "depthwise3x3 8->8"
    tables = [layer_table(network) for network in (plain, separable)]
    shapes = [[row.output for row in table if isinstance(row.layer, BatchNorm)] for table in tables]
    assert shapes[0] == shapes[1]
    assert [table[-1].receptive_field for table in tables] == [28, 28]


def test_steps_differ_only_where_the_study_changed_something() -> None:
    assert ladder(4, 0.1) == ladder(5, 0.1)
    assert ladder(6, 0.03) == ladder(7, 0.03)
    assert [layer for layer in ladder(3, 0.0) if isinstance(layer, Conv)] == [
        layer for layer in ladder(2, 0.0) if isinstance(layer, Conv)
    ]


def test_dropout_follows_every_activation_and_zero_adds_no_layer() -> None:
    for step in LADDER:
        network = ladder(step, 0.2)
        relus = sum(isinstance(layer, ReLU) for layer in network)
        assert network.count(Dropout(0.2)) == relus
        assert ladder(step, 0.0) == tuple(layer for layer in network if not isinstance(layer, Dropout))


def test_order_of_a_block() -> None:
    assert ladder(2, 0.1)[:3] == (Conv(1, 8), ReLU(), Dropout(0.1))
    assert ladder(6, 0.1)[:4] == (Conv(1, 8), BatchNorm(8), ReLU(), Dropout(0.1))
    assert ladder(8, 0.1)[:4] == (Conv(1, 8), ReLU(), BatchNorm(8), Dropout(0.1))


def test_no_bias_after_step_1() -> None:
    for step in LADDER:
        assert {layer.bias for layer in ladder(step, 0.0) if isinstance(layer, Conv)} == {step == 1}


def test_unknown_step_is_refused() -> None:
    with pytest.raises(ValueError, match="no ladder step 9: choose 1 to 8"):
        ladder(9, 0.0)


def test_channels_that_do_not_match_are_refused() -> None:
    with pytest.raises(ValueError, match="was given 8 channels"):
        layer_table([Conv(1, 8), Conv(9, 8)])


@pytest.mark.parametrize("network", [[Conv(1, 8, 29)], [Pool("max", 29)]], ids=["convolution", "pool"])
def test_an_image_that_vanishes_is_refused(network: list[Conv | Pool]) -> None:
    with pytest.raises(ValueError, match="leaves no pixel"):
        layer_table(network)


def test_layers_in_words() -> None:
    assert [describe(layer) for layer in ladder(8, 0.03)[:5]] == [
        "conv3x3 1->8",
        "relu",
        "batchnorm 8",
        "dropout 0.03",
        "conv3x3 8->16",
    ]
    assert describe(Pool("avg", 6)) == "avgpool 6"
    assert largest_layers(ladder(8, 0.0), 2) == "conv3x3 16->18 (2,592), conv3x3 10->16 (1,440)"
