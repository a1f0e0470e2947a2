"""Routes that read what the mesh knows about a user, a video or a feature."""

from journeymesh.features.v1 import features_pb2
from journeymesh.scoring.v1 import scoring_pb2
from journeymesh.video.v1 import video_pb2

from gateway.core import Core
from gateway.formats.rendering import render, write_event
from gateway.http.asgi import Answer, Request, json
from gateway.http.parameters import number


async def user(core: Core, request: Request) -> Answer:
    """A user's features and the assessment based on them."""
    asked = scoring_pb2.GetUserRequest(user_id=request.parameters["userId"])
    response = await core.peers.scoring.GetUser(asked)
    return json({**render(response), "features": {feature.name: feature.value for feature in response.features}})


async def events(core: Core, request: Request) -> Answer:
    """A user's last events, newest first."""
    limit = number(request.query.get("limit"), "limit", 20, 20)
    response = await core.peers.features.ListRecentEvents(
        features_pb2.ListRecentEventsRequest(user_id=request.parameters["userId"], limit=limit)
    )
    return json({"events": [write_event(event) for event in response.events]})


async def features(core: Core, request: Request) -> Answer:
    """A user's feature vector, by name."""
    response = await core.peers.features.GetFeatures(
        features_pb2.GetFeaturesRequest(user_id=request.parameters["userId"])
    )
    return json({**render(response), "features": {feature.name: feature.value for feature in response.features}})


async def profile(core: Core, request: Request) -> Answer:
    """What is known about a user in sum."""
    asked = features_pb2.GetProfileRequest(user_id=request.parameters["userId"])
    return json(render(await core.peers.features.GetProfile(asked)))


async def risk(core: Core, request: Request) -> Answer:
    """A user's latest assessment, its explanation, signals and history."""
    asked = scoring_pb2.GetRiskRequest(user_id=request.parameters["userId"])
    return json(render(await core.peers.scoring.GetRisk(asked)))


async def videos(core: Core, request: Request) -> Answer:
    """What a user watched, and how."""
    asked = video_pb2.GetViewerRequest(user_id=request.parameters["userId"])
    return json(render(await core.peers.video.GetViewer(asked)))


async def video(core: Core, request: Request) -> Answer:
    """How a video is watched."""
    asked = video_pb2.GetVideoRequest(video_id=request.parameters["videoId"])
    return json(render(await core.peers.video.GetVideo(asked)))


async def definitions(core: Core, _request: Request) -> Answer:
    """What each feature means."""
    asked = features_pb2.ListFeatureDefinitionsRequest()
    return json(render(await core.peers.features.ListFeatureDefinitions(asked)))
