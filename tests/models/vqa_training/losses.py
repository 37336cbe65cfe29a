"""The loss of the answers' tokens."""
import torch
from torch.nn import functional

from .batches import BEFORE_IMAGE, COORDINATES
from .network import IMAGE_TOKENS

# A coordinate one pixel off is nearly right: its target is spread over the neighbouring edges by a bell of this many pixels.
SPREAD = 0.6


def _targets_table(vocabulary):
    """[vocabulary, vocabulary]: what is to be predicted where a token stands; itself, but for coordinates."""
    table = torch.eye(vocabulary)
    edges = torch.arange(len(COORDINATES), dtype=torch.float)
    bell = torch.exp(-(edges[:, None] - edges) ** 2 / (2 * SPREAD ** 2))
    ids = torch.tensor(COORDINATES)
    table[ids[:, None], ids] = bell / bell.sum(1, keepdim=True)
    return table


class AnswerLoss:
    def __init__(self, model):
        self.model = model.model.language_model
        self.head = model.lm_head
        self.table = _targets_table(model.lm_head.out_features)

    def __call__(self, batch, merged):
        """(mean loss, logits [targets, vocabulary])"""
        embedded = self.model.embed_tokens(batch.ids)
        first, last = len(BEFORE_IMAGE), len(BEFORE_IMAGE) + IMAGE_TOKENS
        embedded = torch.cat([embedded[:, :first], merged.to(embedded.dtype), embedded[:, last:]], 1)
        hidden = self.model(inputs_embeds=embedded, position_ids=batch.positions, attention_mask={"full_attention": batch.visible},
                            use_cache=False).last_hidden_state
        logits = self.head(hidden.flatten(0, 1)[batch.rows]).float()
        each = -(self.table[batch.targets] * functional.log_softmax(logits, -1)).sum(-1)
        return (each * batch.weights).sum() / batch.weights.sum(), logits
