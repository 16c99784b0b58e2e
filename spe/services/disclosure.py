"""Which disclosure policy holds for a permit: the strictest of those its datasets name."""

from spe.disclosure.settings import DisclosurePolicy, meet_all
from spe.domain.errors import Corrupt
from spe.domain.ids import PermitId
from spe.domain.verdict import Report, Severity
from spe.policy.policyset import PolicySet
from spe.ports.store import UnitOfWork


def policy_for(policies: PolicySet, uow: UnitOfWork, permit: PermitId) -> DisclosurePolicy:
    """The meet of the policies of all dataset versions of the permit. Silence is a refusal: `Corrupt`."""
    keys = sorted(uow.permits.get(permit).terms.datasets)
    names = sorted({uow.datasets.get(key).disclosure_policy for key in keys})
    missing = [name for name in names if name not in policies.disclosure]
    if missing or not names:
        raise Corrupt(f"No disclosure policy “{', '.join(missing) or 'any'}” is loaded; nothing can be judged.")
    return meet_all([policies.disclosure[name] for name in names])


def waivable(policy: DisclosurePolicy, report: Report | None) -> bool:
    """Whether the policy allows a named exception to every blocking finding of the report."""
    if report is None:
        return False
    blocking = [f for f in report.all_findings if f.severity is Severity.BLOCK]
    settings = [policy.setting(f.check) for f in blocking]
    return bool(blocking) and all(setting is not None and setting.waivable for setting in settings)
