import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from hazardrank.errors import GridError, PriorityError
from hazardrank.priority.tasks import Tasks, candidate_cells, cell_limits, make_tasks
from hazardrank.priority.tasks_barriers import EAST, SOUTH
from hazardrank.settings import CandidateSettings, TaskSettings
from tests.priority.cases import grid_of


def tasks_of(score, candidate=None, *, cell_size_m=100, min_ha=1.0, max_ha=4.0, **given) -> Tasks:
    """Tasks of 1 to 4 cells, unless told otherwise."""
    score = np.asarray(score, np.float32)
    contrast = given.pop("contrast", None)
    chosen = TaskSettings(min_area_ha=min_ha, max_area_ha=max_ha, contrast=contrast)
    if candidate is None:
        candidate = np.ones(score.shape, bool)
    rasters = {name: np.asarray(values) for name, values in given.items()}
    grid = grid_of(*score.shape, cell_size_m)
    return make_tasks(grid, score, np.asarray(candidate, bool), chosen, **rasters)


def test_land_that_fits_is_one_task():
    tasks = tasks_of(np.ones((2, 2)))
    assert tasks.labels.tolist() == [[0, 0], [0, 0]]
    assert tasks.area_m2.tolist() == [40_000]
    assert tasks.compactness.tolist() == [1.0]
    assert tasks.ids.tolist() == ["T-CRS32638RES100mN4399900E600000"]


def test_a_row_of_eight_becomes_two_of_four():
    tasks = tasks_of(np.ones((1, 8)))
    assert tasks.labels.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]
    assert tasks.perimeter_cells.tolist() == [10, 10]
    assert tasks.compactness == pytest.approx([0.64, 0.64])


def test_a_square_of_sixteen_becomes_four_squares():
    tasks = tasks_of(np.ones((4, 4)))
    assert tasks.labels.tolist() == [[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]]


def test_high_scores_are_drawn_together():
    # Even halves would mix: 1 1 1 | 9 9 9 is the only cut along which the scores part.
    tasks = tasks_of([[1, 1, 9, 9, 9, 9]], max_ha=4)
    assert tasks.labels.tolist() == [[0, 0, 1, 1, 1, 1]]


def test_contrast_cuts_land_that_would_fit():
    score = [[1, 1, 9, 9]]
    assert tasks_of(score).labels.tolist() == [[0, 0, 0, 0]]
    assert tasks_of(score, contrast=3).labels.tolist() == [[0, 0, 1, 1]]
    assert tasks_of(score, contrast=10).labels.tolist() == [[0, 0, 0, 0]]


def test_contrast_leaves_alone_what_scores_below_the_average():
    score = [[0.01, 0.01, 0.1, 0.1], [9, 9, 9, 9]]
    district = [[0] * 4, [1] * 4]
    tasks = tasks_of(score, contrast=3, district=district)
    assert tasks.labels.tolist() == [[0, 0, 0, 0], [1, 1, 1, 1]]


def test_hazard_areas_districts_and_barriers_part_the_land():
    hazard_id = [[-1, 7, 7, -1]] * 2
    district = [[0, 0, 0, 0], [1, 1, 1, 1]]
    blocked = [[0, EAST, 0, 0], [0, 0, 0, 0]]
    tasks = tasks_of(np.ones((2, 4)), district=district, hazard_id=hazard_id, blocked=blocked)
    assert tasks.labels.tolist() == [[0, 1, 2, 3], [4, 5, 5, 6]]
    assert tasks.hazard_id.tolist() == [-1, 7, 7, -1, -1, 7, -1]
    assert tasks.district.tolist() == [0, 0, 0, 0, 1, 1, 1]


def test_a_barrier_counts_as_edge_of_the_task_that_goes_round_it():
    blocked = [[EAST, 0], [0, 0]]
    tasks = tasks_of(np.ones((2, 2)), blocked=blocked)
    assert tasks.n_cells.tolist() == [4]
    assert tasks.perimeter_cells.tolist() == [10]


def test_slivers_join_their_neighbour_and_islands_stay_marked():
    # The middle cut of the upper land leaves single cells: below 2, they go to the other side.
    candidate = [
        [1, 1, 1, 0, 0, 0],
        [1, 0, 1, 0, 0, 1],
        [1, 1, 1, 1, 0, 0],
    ]
    tasks = tasks_of(np.ones((3, 6)), candidate, min_ha=2, max_ha=8)
    assert tasks.n_cells.sum() == 10
    assert sorted(tasks.n_cells[tasks.undersized].tolist()) == [1]
    assert tasks.n_cells[~tasks.undersized].min() >= 2


def test_a_spider_is_cut_within_both_limits():
    """Four arms of three cells: every cut along rows or columns leaves arms that are too short."""
    candidate = np.zeros((9, 9), bool)
    candidate[4, 1:8] = candidate[1:8, 4] = True
    tasks = tasks_of(np.ones((9, 9)), candidate, min_ha=3, max_ha=12)
    assert sorted(tasks.n_cells.tolist()) in ([3, 10], [4, 9], [6, 7])
    assert not tasks.undersized.any()


def test_unknown_scores_count_as_the_average():
    tasks = tasks_of([[1, 1, np.nan, np.nan, 9, 9]], contrast=2, max_ha=6)
    # 5 is 5 times 1, but 9 is not twice 5.
    assert tasks.labels.tolist() == [[0, 0, 1, 1, 1, 1]]


def test_no_candidates():
    tasks = tasks_of(np.ones((2, 3)), np.zeros((2, 3)))
    assert len(tasks) == 0
    assert tasks.ids.tolist() == []
    assert (tasks.labels == -1).all()


def test_cells_of_250_m():
    grid = grid_of(2, 2, 250)
    assert cell_limits(grid, TaskSettings()) == (1, 3)
    tasks = make_tasks(grid, np.ones((2, 2)), np.ones((2, 2), bool), TaskSettings())
    assert tasks.n_cells.tolist() == [2, 2]


@pytest.mark.parametrize(
    ("cell_size_m", "min_ha", "max_ha", "limits"),
    [(100, 0.5, 20, (1, 20)), (50, 0.5, 20, (2, 80)), (10, 0.5, 20, (50, 2000))],
)
def test_limits_in_cells(cell_size_m, min_ha, max_ha, limits):
    grid = grid_of(1, 1, cell_size_m)
    assert cell_limits(grid, TaskSettings(min_area_ha=min_ha, max_area_ha=max_ha)) == limits


def test_cells_larger_than_the_largest_task_say_what_to_change():
    with pytest.raises(PriorityError, match=r"500 m has 25 ha.*max_area_ha to 25 or more"):
        cell_limits(grid_of(1, 1, 500), TaskSettings())


def test_limits_too_near_for_the_cells_say_what_to_change():
    chosen = TaskSettings(min_area_ha=1.1, max_area_ha=4.4)
    with pytest.raises(PriorityError, match=r"2 to 4 cells.*max_area_ha to 5 or more"):
        cell_limits(grid_of(1, 1), chosen)


def test_limits_too_near_in_hectares_are_refused():
    with pytest.raises(ValueError, match="must be at least 4 times min_area_ha"):
        TaskSettings(min_area_ha=1, max_area_ha=3)


def test_rasters_of_another_shape_are_refused():
    with pytest.raises(GridError, match="candidate has the shape"):
        make_tasks(grid_of(2, 2), np.ones((2, 2)), np.ones((2, 3), bool), TaskSettings())


def test_candidates():
    likelihood = np.array([[0.5, 0.01, 0.01, np.nan, 0.9, 0.9]])
    land = {
        "inside": np.array([[1, 1, 1, 1, 0, 1]], bool),
        "in_hazard_area": np.array([[0, 0, 1, 0, 0, 1]], bool),
        "released": np.array([[0, 0, 0, 0, 0, 1]], bool),
    }
    chosen = candidate_cells(CandidateSettings(min_likelihood=0.1), likelihood, **land)
    assert chosen.tolist() == [[True, False, True, True, False, False]]
    narrow = CandidateSettings(
        min_likelihood=0.1, hazard_areas=False, outside_domain=False, released=True
    )
    chosen = candidate_cells(narrow, likelihood, **land)
    assert chosen.tolist() == [[True, False, False, False, False, True]]


def random_land(seed):
    rng = np.random.default_rng(seed)
    shape = tuple(rng.integers(1, 30, 2))
    min_cells = int(rng.integers(1, 6))
    max_cells = int(rng.integers(4 * min_cells, 40))
    return {
        "score": rng.lognormal(0, 1.5, shape) * np.where(rng.random(shape) < 0.1, np.nan, 1),
        "candidate": gaussian_filter(rng.normal(0, 1, shape), 1.0) > rng.choice([-9, -0.1, 0.1]),
        "district": (np.arange(shape[1]) >= rng.integers(1, 30)) + np.zeros(shape, np.int32),
        "hazard_id": np.where(rng.random() < 0.5, -1, (rng.random(shape) < 0.1) - 1),
        "blocked": (rng.integers(0, 4, shape) * (rng.random(shape) < 0.1)).astype(np.uint8),
        "min_ha": min_cells,
        "max_ha": max_cells,
        "contrast": rng.choice([None, 2.0]),
    }


def joined(land) -> nx.Graph:
    """The cells, joined where a task may go on; as slow and plain as can be."""
    graph = nx.Graph()
    rows, cols = land["candidate"].shape
    for row, col in np.argwhere(land["candidate"]).tolist():
        graph.add_node((row, col))
        for bit, other in ((EAST, (row, col + 1)), (SOUTH, (row + 1, col))):
            inside = other[0] < rows and other[1] < cols and land["candidate"][other]
            same = inside and all(
                land[name][row, col] == land[name][other] for name in ("district", "hazard_id")
            )
            if same and not land["blocked"][row, col] & bit:
                graph.add_edge((row, col), other)
    return graph


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_every_rule_holds_on_any_land(seed):
    land = random_land(seed)
    tasks = tasks_of(**land)
    graph = joined(land)
    compartment = {
        cell: number
        for number, cells in enumerate(nx.connected_components(graph))
        for cell in cells
    }
    sizes = np.bincount(list(compartment.values()), minlength=1)
    assert ((tasks.labels >= 0) == land["candidate"]).all()
    assert len(set(tasks.ids)) == len(tasks)
    assert (np.diff(tasks.middle) > 0).all()
    for number in range(len(tasks)):
        cells = [tuple(cell) for cell in np.argwhere(tasks.labels == number).tolist()]
        part = graph.subgraph(cells)
        assert nx.is_connected(part)
        assert tasks.n_cells[number] == len(cells) <= land["max_ha"]
        assert tasks.perimeter_cells[number] == 4 * len(cells) - 2 * part.number_of_edges()
        assert tasks.undersized[number] == (len(cells) < land["min_ha"])
        if tasks.undersized[number]:
            assert sizes[compartment[cells[0]]] == len(cells)
        assert divmod(int(tasks.middle[number]), tasks.labels.shape[1]) in cells
        assert {land["district"][cell] for cell in cells} == {tasks.district[number]}
        assert {land["hazard_id"][cell] for cell in cells} == {tasks.hazard_id[number]}


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_the_direction_of_the_rows_does_not_matter(seed):
    rng = np.random.default_rng(seed)
    shape = (40, 60)
    score = np.exp(gaussian_filter(rng.normal(0, 9, shape), 3) + rng.normal(0, 0.2, shape))
    candidate = gaussian_filter(rng.normal(0, 1, shape), 4) > -0.05
    chosen = {"min_ha": 2, "max_ha": 30, "contrast": 3.0}
    tasks = tasks_of(score, candidate, **chosen)
    for turned in (lambda raster: raster[::-1], lambda raster: raster[:, ::-1], np.transpose):
        other = tasks_of(turned(score), turned(candidate), **chosen)
        assert len(other) == len(tasks)
        pairs = np.unique(
            np.column_stack([tasks.labels.ravel(), turned(other.labels).ravel()]), axis=0
        )
        assert len(pairs) == len(tasks) + 1


def test_land_elsewhere_changes_no_task():
    rng = np.random.default_rng(4)
    score = rng.lognormal(0, 1, (30, 40))
    district = np.zeros((30, 40), np.int32)
    district[:, 20:] = 1
    whole = tasks_of(score, district=district)
    grid = grid_of(30, 40).part(0, 20, 30, 20)
    chosen = TaskSettings(min_area_ha=1, max_area_ha=4, contrast=None)
    part = make_tasks(grid, score[:, 20:], np.ones((30, 20), bool), chosen)
    assert set(part.ids) == set(whole.ids[whole.district == 1])


def test_tasks_are_compact_on_open_land():
    rng = np.random.default_rng(5)
    score = np.exp(gaussian_filter(rng.normal(0, 9, (120, 120)), 4))
    tasks = tasks_of(score, max_ha=20)
    assert np.average(tasks.compactness, weights=tasks.area_m2) > 0.85
    assert tasks.area_m2.mean() > 0.75 * 20e4
