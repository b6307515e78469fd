"""Who a component is and where its heartbeats go, from arguments and the environment; what is wrong never stops it."""

from __future__ import annotations

import logging
import os

from healthmon.core.ids import valid_id
from healthmon.errors import ConfigurationError
from healthmon.settings import ClientSettings, load_client_settings

ID_RULE = "give 1 to 128 letters, digits and ._@-, no dot in front"
logger = logging.getLogger("healthmon.agent")


def client_settings(component_id: str | None, **given: object) -> ClientSettings | None:
    """The component's settings; nothing when heartbeats are switched off or cannot be sent, which is logged.

    A misspelt HEALTH_ name is logged and passed over: it may be the component's own, and must not silence it.

    Raises ConfigurationError for a missing or bad id, and for nothing else.
    """
    if component_id is not None and not (isinstance(component_id, str) and valid_id(component_id)):
        raise ConfigurationError(f"{component_id!r:.150} is no component id: {ID_RULE}")
    settings = _load(component_id, given)
    if settings is not None and settings.disabled:
        return None
    named = component_id or (settings.component_id if settings else os.environ.get("HEALTH_COMPONENT_ID"))
    if not named or not valid_id(named):
        raise ConfigurationError(f"a component needs an id, as component_id or in HEALTH_COMPONENT_ID: {ID_RULE}")
    return settings


def _load(component_id: str | None, given: dict[str, object]) -> ClientSettings | None:
    arguments = {"component_id": component_id, **given}
    try:
        settings = load_client_settings(**arguments)
    except ConfigurationError as error:
        logger.error("%s", error)  # noqa: TRY400  # one sentence says it all
        return _load_known_names(arguments)
    for warning in settings.warnings:
        logger.warning("%s", warning)
    return settings


def _load_known_names(arguments: dict[str, object]) -> ClientSettings | None:
    """The settings when only unknown names were wrong. A file is not read here, so where one is named they aren't."""
    try:
        settings = ClientSettings.model_validate({k: v for k, v in arguments.items() if v is not None})
    except ValueError:
        settings = None
    if settings is None or settings.config is not None:
        logger.error("no heartbeats are sent until this is corrected")
        return None
    return settings
