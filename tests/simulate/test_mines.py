"""True minefields and the rules they were laid by."""

import dataclasses

import numpy as np
import pytest
import shapely
from scipy.spatial import cKDTree

from hazardrank.simulate.frame import DIFFICULTIES
from hazardrank.simulate.mines import CONTAMINATED_SHARE, PROPOSALS, RULE_SHARES, Site, lay_mines
from hazardrank.simulate.mines import _choose as choose
from hazardrank.simulate.shapes import patch


def area_by_rule(minefields):
    areas = shapely.area(minefields.polygon)
    return {rule: areas[minefields.rule == rule].sum() for rule in (*RULE_SHARES, "none")}


def centres(minefields, rule):
    return shapely.get_coordinates(shapely.centroid(minefields.polygon[minefields.rule == rule]))


def test_the_shares_of_the_rules_add_up():
    assert sum(RULE_SHARES.values()) == pytest.approx(1)
    assert set(PROPOSALS) == {*RULE_SHARES, "none"}


def test_about_the_wanted_share_of_the_land_is_contaminated(scene, district):
    world = scene.frame.world_box
    true = shapely.intersection(shapely.union_all(district.minefields.polygon), world)
    assert true.area / world.area == pytest.approx(CONTAMINATED_SHARE, rel=0.25)


def test_each_rule_lays_about_its_share(scene, district):
    ruleless = scene.frame.difficulty.ruleless_share
    wanted_m2 = CONTAMINATED_SHARE * scene.frame.world_box.area
    laid = area_by_rule(district.minefields)
    assert laid["none"] == pytest.approx(ruleless * wanted_m2, rel=0.2)
    for rule in ("belt", "village", "height", "track"):
        assert laid[rule] == pytest.approx((1 - ruleless) * RULE_SHARES[rule] * wanted_m2, rel=0.3)


def test_belts_lie_ahead_of_the_force_that_dug_in(scene, district):
    fronts = scene.fronts
    belts = district.minefields.polygon[district.minefields.rule == "belt"]
    ahead = []
    for line, side in zip(fronts.line, fronts.side, strict=True):
        zone = shapely.buffer(line, -680 if side == "left" else 680, single_sided=True)
        ahead.append(shapely.buffer(zone, 1.0))
    covered = shapely.area(shapely.intersection(belts, shapely.union_all(ahead)))
    assert (covered / shapely.area(belts)).mean() > 0.97


def test_sites_lie_where_their_rule_says(scene, district):
    minefields = district.minefields
    abandoned = scene.settlements.abandoned
    village = scene.settlements.distance_to(centres(minefields, "village"), abandoned)
    assert village.max() < 2000
    assert scene.to_roads_m(centres(minefields, "track"), "track", "secondary").max() < 150
    assert cKDTree(scene.bridges).query(centres(minefields, "bridge"))[0].max() < 200
    height = scene.at(scene.terrain.position_m, centres(minefields, "height"))
    assert height.mean() > np.quantile(scene.terrain.position_m, 0.75)


def test_minefields_are_valid_and_dated_within_the_conflict(district):
    minefields = district.minefields
    assert shapely.is_valid(minefields.polygon).all()
    assert shapely.area(minefields.polygon).min() > 500
    assert minefields.laid.min() >= np.datetime64("1992-03-01")
    assert minefields.laid.max() < np.datetime64("2020-11-01")
    categories = {device for devices in minefields.device for device in devices.split(";")}
    assert categories <= {"AP", "AT", "UXO"}


def test_a_belt_was_laid_while_its_front_held(scene, district):
    minefields = district.minefields
    belt = minefields.take(minefields.rule == "belt")
    for polygon, laid in zip(belt.polygon, belt.laid, strict=True):
        held = (scene.fronts.start <= laid) & (laid < scene.fronts.end)
        assert polygon.distance(shapely.union_all(scene.fronts.line[held])) < 700


def test_harder_districts_follow_no_rule_more_often(scene):
    shares = []
    for name in ("easy", "standard", "hard"):
        frame = dataclasses.replace(scene.frame, difficulty=DIFFICULTIES[name])
        laid = area_by_rule(lay_mines(dataclasses.replace(scene, frame=frame)))
        shares.append(laid["none"] / sum(laid.values()))
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] > 0.25


def test_sites_are_drawn_by_weight_until_the_area_is_used_up(scene):
    west, south, _, _ = scene.frame.world.bounds

    def site(log_weight):
        return Site(
            west + 50, south + 50, log_weight, lambda draws: patch(draws, 0.0, 0.0, 60.0), "AP", ""
        )

    sites = [site(weight) for weight in (0.0, 40.0, 0.0, 40.0)]
    hidden = np.zeros(scene.frame.world.shape)
    chosen = list(choose(scene, hidden, sites, 20_000.0, np.random.default_rng(0)))
    assert {id(one) for _, one in chosen} == {id(sites[1]), id(sites[3])}
    assert list(choose(scene, hidden, [], 20_000.0, np.random.default_rng(0))) == []
