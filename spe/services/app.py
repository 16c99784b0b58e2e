"""The use cases bound together: what every door (pages, API, command line, loops) is handed."""

from dataclasses import dataclass

from spe.domain.keys import Verify
from spe.services.audit import AuditService
from spe.services.checks import CheckService
from spe.services.context import House
from spe.services.datasets import DatasetService
from spe.services.egress import EgressService
from spe.services.gates import GateService
from spe.services.grounds import Grounds
from spe.services.logins import LoginService
from spe.services.oauth import Client, OAuthService
from spe.services.passes import PassService
from spe.services.people import PeopleService
from spe.services.permits import PermitService
from spe.services.releases import ReleaseService
from spe.services.reviews import ReviewService
from spe.services.secrets import SecretService
from spe.services.sessions import SessionService
from spe.services.workspaces import WorkspaceService


@dataclass(frozen=True, slots=True, kw_only=True)
class App:
    """All services over one house."""

    house: House
    people: PeopleService
    permits: PermitService
    datasets: DatasetService
    workspaces: WorkspaceService
    sessions: SessionService
    gates: GateService
    secrets: SecretService
    egress: EgressService
    checks: CheckService
    reviews: ReviewService
    releases: ReleaseService
    audit: AuditService
    oauth: OAuthService
    passes: PassService
    logins: LoginService

    @classmethod
    def over(cls, house: House, *, client: Client, verify: Verify) -> "App":
        """Bind the services to a house."""
        grounds = Grounds(house)
        sessions = SessionService(house)
        audit = AuditService(house, verify)
        people = PeopleService(house)
        return cls(
            house=house,
            people=people,
            permits=PermitService(house),
            datasets=DatasetService(house),
            workspaces=WorkspaceService(house),
            sessions=sessions,
            gates=GateService(house),
            secrets=SecretService(house),
            egress=EgressService(house, grounds),
            checks=CheckService(house, grounds),
            reviews=ReviewService(house, grounds),
            releases=ReleaseService(house, grounds, audit),
            audit=audit,
            oauth=OAuthService(house, sessions, client),
            passes=PassService(house, sessions),
            logins=LoginService(house, people),
        )
