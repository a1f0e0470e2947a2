"""Who owns an intervention: once an anonymous user is linked, the known user does."""

from typing import Final, NamedTuple

from mesh.state import keyed
from mesh.state.port import StateStore
from services.intervention.decision.domain import user_state
from services.intervention.decision.domain.user_state import UserState
from services.intervention.decision.state import USERS

_MOST_STEPS: Final = 4
"""How many links from user to user are followed; this also ends loops of aliases."""


class Owner(NamedTuple):
    """The user who has an intervention. If nobody has it, the last known user of the chain.

    `is_on_its_way` says that the intervention has left the user it was made for and has not arrived at another.
    """

    user_id: str
    user: UserState
    is_on_its_way: bool


async def owner(state: StateStore, user_id: str, intervention_id: str) -> Owner:
    """Who has an intervention: the user it was made for or, if not, one to whom that user was linked.

    Raises:
        Unavailable: the store cannot be reached.
    """
    users, seen = [user_id], {user_id}
    found = Owner(user_id, user_state.NOBODY, is_on_its_way=False)
    for step in range(_MOST_STEPS):
        await keyed.look(state, known := keyed.Seen(USERS, users))
        for each, user in known.states.items():
            if user_state.offer_of(user, intervention_id) is not None:
                return Owner(each, user, is_on_its_way=False)
        found = Owner(users[0], known.states[users[0]], is_on_its_way=step > 0)
        users = [each for user in known.states.values() if user.away for each in user.away.user_ids if each not in seen]
        seen.update(users)
        if not users:
            break
    return found
