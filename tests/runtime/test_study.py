"""The axes of a study."""

import pytest

from helpers.projects import set_params
from stages.runtime.config import read_section
from stages.runtime.errors import UserError
from stages.runtime.study import Study


@pytest.mark.parametrize("name", ["efficientnet-lite0", "ResNet50", "3cnn", ""])
def test_a_network_s_name_is_one_word_in_small_letters(project, name):
    """A dash would be taken for the end of the name in that of a run; said before anything runs."""
    set_params(project, study__networks=[name])
    with pytest.raises(UserError, match=r"study\.networks\.0 = .* is not allowed"):
        read_section("study", Study)
