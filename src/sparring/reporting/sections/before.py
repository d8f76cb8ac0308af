"""Before and after: what changed since an earlier study, on the test images of both."""

from ...study.changes import BeforeAfter
from ..study_view import StudyView


def before_section(study: StudyView) -> BeforeAfter | None:
    """Return what changed; None where the study is compared with no other."""
    return study.summary.against
