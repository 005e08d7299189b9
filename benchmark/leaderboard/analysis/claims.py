"""What the papers claim of training regimes, judged by the records: seen, not seen, or undecided at this size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmark.leaderboard.columns import COLUMNS
from benchmark.leaderboard.statistics.bootstrap import Estimate
from benchmark.leaderboard.statistics.tests import ALPHA, Difference, difference
from benchmark.leaderboard.table import LeaderboardTable, Row

Verdict = Literal["seen", "not seen: the opposite", "undecided"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """One regime is said to have more, or less, of something than another.

    Attributes:
        text: The claim in words.
        source: Who makes it: author and year.
        regime: The regime it is about.
        than: The regime that it is compared with.
        column: Name of the column of the leaderboard that measures it.
        method: Saliency method whose maps are measured; none takes the first board's.
        more: Whether the regime is said to have more of it.
    """

    text: str
    source: str
    regime: str
    than: str
    column: str
    method: str = ""
    more: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimResult:
    """A claim with what was found for one architecture."""

    claim: Claim
    architecture: str
    value: float
    base: float
    difference: Difference

    @property
    def verdict(self) -> Verdict:
        """By the paired test; a claim is not seen only where the opposite is told apart."""
        if not self.difference.p < ALPHA:
            return "undecided"
        return "seen" if (self.difference.value > 0) == self.claim.more else "not seen: the opposite"


_MARGELOIU, _XU = "Margeloiu et al. 2020", "Xu et al. 2023, SCAAT (our reconstruction)"
_CHALASANI, _RASAEE = "Chalasani et al. 2020", "after Rasaee and Rivaz 2021"
_NOISE = "Kaur, Cohen and Lipton 2019"

CLAIMS = (
    Claim(
        text="Adversarial training makes gradient maps sharper",
        source=_MARGELOIU,
        regime="pgd-l2",
        than="standard",
        column="sharpness",
        method="gradient",
    ),
    Claim(
        text="Adversarial training makes gradient maps more coherent (lower TV ratio)",
        source=_MARGELOIU,
        regime="pgd-l2",
        than="standard",
        column="tv_ratio",
        method="gradient",
        more=False,
    ),
    Claim(
        text="Maps of adversarially trained networks follow color variation within the lesion",
        source=_MARGELOIU,
        regime="pgd-l2",
        than="standard",
        column="color_variation",
        method="gradient",
    ),
    Claim(
        text="Fine-tuning a robust network at a small learning rate sharpens its maps further",
        source=_MARGELOIU,
        regime="robust-finetune",
        than="pgd-l2",
        column="sharpness",
        method="gradient",
    ),
    Claim(
        text="Adversarial training costs accuracy",
        source=_MARGELOIU,
        regime="pgd-l2",
        than="standard",
        column="balanced_accuracy",
        more=False,
    ),
    Claim(
        text="Refitting all but the first layers of a robust network regains accuracy",
        source=_MARGELOIU,
        regime="robust-stem",
        than="pgd-l2",
        column="balanced_accuracy",
    ),
    Claim(
        text="Maps of a network with robust first layers are sharper than those of a standard one",
        source=_MARGELOIU,
        regime="robust-stem",
        than="standard",
        column="sharpness",
        method="gradient",
    ),
    Claim(
        text="Adversarial training in Linf makes gradient maps sparser",
        source=_CHALASANI,
        regime="pgd-linf",
        than="standard",
        column="sparsity",
        method="gradient",
    ),
    Claim(
        text="SCAAT makes maps sparser than standard training",
        source=_XU,
        regime="scaat",
        than="standard",
        column="sparsity",
        method="gradient",
    ),
    Claim(
        text="SCAAT makes maps more faithful than standard training",
        source=_XU,
        regime="scaat",
        than="standard",
        column="faithfulness",
        method="gradient",
    ),
    Claim(
        text="The guidance by saliency matters: sparser maps than with attacks at random places",
        source=_XU,
        regime="scaat",
        than="scaat-random",
        column="sparsity",
        method="gradient",
    ),
    Claim(
        text="The guidance by saliency matters: sparser maps than with attacks on the salient pixels",
        source=_XU,
        regime="scaat",
        than="scaat-inverted",
        column="sparsity",
        method="gradient",
    ),
    Claim(
        text="SCAAT loses accuracy (it is said not to)",
        source=_XU,
        regime="scaat",
        than="standard",
        column="balanced_accuracy",
        more=False,
    ),
    Claim(
        text="Grad-CAM of an adversarially trained network withstands attacks on the map better",
        source=_RASAEE,
        regime="pgd-linf",
        than="standard",
        column="map_kept",
    ),
    Claim(
        text="Adversarial training raises accuracy under attack",
        source="Madry et al. 2018",
        regime="pgd-l2",
        than="standard",
        column="accuracy_under_attack",
    ),
    Claim(
        text="Training on noisy images makes gradient maps more coherent (lower TV ratio)",
        source=_NOISE,
        regime="gaussian-noise",
        than="standard",
        column="tv_ratio",
        method="gradient",
        more=False,
    ),
)


def evaluate_claims(leaderboards: Sequence[LeaderboardTable]) -> list[ClaimResult]:
    """Every claim that the boards can speak of, for every architecture, in the order of :data:`CLAIMS`."""
    return [found for claim in CLAIMS for found in _judged(claim, leaderboards)]


def to_markdown(judged: Sequence[ClaimResult], leaderboards: Sequence[LeaderboardTable]) -> str:
    """A page of one sentence per claim, with the numbers that decide it."""
    main = leaderboards[0]
    titles = {column.name: column.title for column in COLUMNS}
    lines = [
        f"# What the papers claim, on {main.record.dataset}, preset {main.record.preset}",
        "",
        _about(main, len(judged)),
        "",
        "| claim | of | network | measured by | difference [95 % interval] | p | verdict |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for each in judged:
        claim, found = each.claim, each.difference
        method = f", {claim.method}" if claim.method else ""
        lines.append(
            f"| {claim.text} | {claim.source} | {each.architecture} | {titles[claim.column]}{method}: {each.value:.3f} "
            f"({claim.regime}) against {each.base:.3f} ({claim.than}) | {found.value:+.3f} [{found.low:+.3f}, "
            f"{found.high:+.3f}] | {_p(found.p)} | **{each.verdict}** |"
        )
    return "\n".join(lines) + "\n"


def _about(main: LeaderboardTable, claims: int) -> str:
    seeds = max(len(row.seeds) for row in main.models)
    synthetic = " SYNTHETIC data: nothing here speaks of patients." if main.record.synthetic else ""
    return (
        f"Each claim sets one regime against another on the same {main.record.images['test']} test images "
        f"({main.groups} groups), with up to {seeds} training seeds. *Seen*: the difference has the claimed sign and "
        "the paired test tells it from nothing at 5 %. *Not seen*: the same with the opposite sign. *Undecided*: at "
        f"this size neither. Nothing is corrected for the number of claims: of {claims}, one in twenty would be told "
        f"apart by chance.{synthetic}"
    )


def _judged(claim: Claim, leaderboards: Sequence[LeaderboardTable]) -> Iterator[ClaimResult]:
    of_method = [leaderboard for leaderboard in leaderboards if not claim.method or leaderboard.method == claim.method]
    rows = {(row.name, row.regime): row for row in (of_method[0].models if of_method else ())}
    for name in dict.fromkeys(name for name, _ in rows):
        one, other = (_estimate(rows.get((name, regime)), claim.column) for regime in (claim.regime, claim.than))
        if one is not None and other is not None:
            yield ClaimResult(
                claim=claim,
                architecture=name,
                value=one.value,
                base=other.value,
                difference=difference(one, other),
            )


def _estimate(row: Row | None, column: str) -> Estimate | None:
    return None if row is None else row.estimates.get(column)


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"{p:.3f}"
